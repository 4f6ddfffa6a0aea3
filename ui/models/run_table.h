// SPDX-License-Identifier: GPL-3.0-or-later
// Stored runs as rows, newest first. Notes are edited in place.
#pragma once
#include <QAbstractTableModel>
#include <optional>
#include <vector>

#include "core/experiments/store.h"

namespace bitloom {

// Figures of a run's result, as far as it has them.
struct RunFigures {
  struct Value {
    double mean = 0;
    double error = 0;
  };
  std::optional<Value> kld, sameTop, perplexity;
};
RunFigures figuresOf(const Run& run);
QString kindTitle(RunKind kind);

class RunTable : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum Column { When, Kind, Title, Size, Bpw, Kld, SameTop, State, Notes, kColumns };

  using QAbstractTableModel::QAbstractTableModel;
  void setRuns(std::vector<Run> runs);
  const Run& run(int row) const { return m_runs[size_t(row)]; }
  int rowOf(int64_t id) const;  // −1 when absent

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  bool setData(const QModelIndex& index, const QVariant& value, int role) override;
  Qt::ItemFlags flags(const QModelIndex& index) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 signals:
  void notesEdited(const Run& run);

 private:
  QVariant text(const Run& run, int column) const;
  QVariant key(const Run& run, int column) const;
  std::vector<Run> m_runs;
  std::vector<RunFigures> m_figures;
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The plan as a table: one row for each weight that a recipe may change. Shows snapshots; edits
// come out as signals, the next snapshot shows what became of them.
#pragma once
#include <QAbstractTableModel>
#include <QString>
#include <QStringList>
#include <vector>

#include "core/recipe.h"
#include "core/sensitivity.h"

namespace bitloom {

class LoomGrid;

struct PlanRow {
  size_t tensor = 0;  // index in Model::tensors()
  QString name;
  QString requested;  // codec, or the source's type when nothing is asked
  QString effective;
  QString why;
  uint64_t bytes = 0;
  double damage = 0;  // NaN: no cell
  double error = 0;
  bool pinned = false;
  bool fellBack = false;  // effective differs from requested
  bool operator==(const PlanRow&) const = default;
};

// Rows in the grid's order. Damage: the cells' values at the effective codec; 0 for a copied
// tensor.
std::vector<PlanRow> planRows(const Model& model, const Plan& plan, const LoomGrid& grid,
                              const Sensitivity& cells);

class PlanTable : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { Name, Requested, Effective, Why, Bytes, Damage, Pin, ColumnCount };
  static constexpr int kSortRole = Qt::UserRole;        // numbers for numbers
  static constexpr int kTensorRole = Qt::UserRole + 1;  // index in Model::tensors()

  using QAbstractTableModel::QAbstractTableModel;

  // Rows of other tensors reset the model; the same tensors only change their data.
  void setRows(std::vector<PlanRow> rows);
  void setCodecs(const QStringList& names) { m_codecs = names; }
  const QStringList& codecs() const { return m_codecs; }  // choices for `Requested`
  const std::vector<PlanRow>& planRowsShown() const { return m_rows; }
  int rowOf(size_t tensor) const;  // −1 when absent

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
  Qt::ItemFlags flags(const QModelIndex& index) const override;
  bool setData(const QModelIndex& index, const QVariant& value, int role) override;

 signals:
  void codecEdited(size_t tensor, const QString& codec);
  void pinEdited(size_t tensor, bool pinned);

 private:
  QString text(const PlanRow& row, int column) const;
  QVariant sortKey(const PlanRow& row, int column) const;
  QString hint(const PlanRow& row, int column) const;
  std::vector<PlanRow> m_rows;
  QStringList m_codecs;
};

}  // namespace bitloom

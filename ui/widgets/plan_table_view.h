// SPDX-License-Identifier: GPL-3.0-or-later
// The plan table on screen: sortable, its rows the shared selection, `requested` a list of codecs,
// `pin` one click.
#pragma once
#include <QTableView>

class QSortFilterProxyModel;

namespace bitloom {

class LoomSelection;
class PlanTable;

class PlanTableView : public QTableView {
  Q_OBJECT

 public:
  PlanTableView(PlanTable& model, LoomSelection& selection, QWidget* parent = nullptr);
  QSize sizeHint() const override { return {600, 170}; }

 protected:
  void resizeEvent(QResizeEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  void takeSelection();  // from the rows
  void showSelection();  // to the rows
  void placeColumns();
  QString selectedText() const;

  PlanTable& m_table;
  LoomSelection& m_selection;
  QSortFilterProxyModel* m_sorted;
  bool m_syncing = false;
};

}  // namespace bitloom

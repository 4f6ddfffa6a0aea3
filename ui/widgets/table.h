// SPDX-License-Identifier: GPL-3.0-or-later
// Tables as all pages show them: sortable, filterable, rows selected whole, Ctrl+C copies.
#pragma once
#include <QSortFilterProxyModel>
#include <QTableView>

class QAbstractItemModel;
class QLineEdit;

namespace bitloom {

class Table : public QTableView {
  Q_OBJECT
 public:
  // Sorts by `Qt::UserRole`; `model` is borrowed.
  Table(QAbstractItemModel* model, const char* objectName, QWidget* parent = nullptr);
  QLineEdit* makeFilter(const QString& placeholder, const char* objectName);
  QSortFilterProxyModel* proxy() const { return m_proxy; }
  std::vector<int> selectedRows() const;  // of the model, not of the view
  QString selectionText() const;          // tab-separated, as Ctrl+C copies it

 protected:
  void keyPressEvent(QKeyEvent* event) override;

 private:
  QSortFilterProxyModel* m_proxy;
};

}  // namespace bitloom

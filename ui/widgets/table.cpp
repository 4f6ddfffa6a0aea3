// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/table.h"

#include <QApplication>
#include <QClipboard>
#include <QHeaderView>
#include <QKeyEvent>
#include <QLineEdit>
#include <algorithm>

namespace bitloom {

Table::Table(QAbstractItemModel* model, const char* objectName, QWidget* parent)
    : QTableView(parent), m_proxy(new QSortFilterProxyModel(this)) {
  setObjectName(objectName);
  m_proxy->setSourceModel(model);
  m_proxy->setSortRole(Qt::UserRole);
  m_proxy->setFilterKeyColumn(-1);
  m_proxy->setFilterCaseSensitivity(Qt::CaseInsensitive);
  setModel(m_proxy);
  setSortingEnabled(true);
  sortByColumn(-1, Qt::AscendingOrder);
  setSelectionBehavior(QAbstractItemView::SelectRows);
  setSelectionMode(QAbstractItemView::ExtendedSelection);
  setEditTriggers(QAbstractItemView::DoubleClicked | QAbstractItemView::EditKeyPressed);
  setShowGrid(false);
  setWordWrap(false);
  setTabKeyNavigation(false);
  setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
  setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
  verticalHeader()->hide();
  verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 10);
  verticalHeader()->setMinimumSectionSize(20);
  QFont bold = font();
  bold.setBold(true);
  horizontalHeader()->setFont(bold);  // or sections are measured in the regular weight
  horizontalHeader()->setHighlightSections(false);
  horizontalHeader()->setStretchLastSection(true);
}

QLineEdit* Table::makeFilter(const QString& placeholder, const char* objectName) {
  auto* filter = new QLineEdit(this);
  filter->setObjectName(objectName);
  filter->setPlaceholderText(placeholder);
  filter->setAccessibleName(placeholder);
  filter->setClearButtonEnabled(true);
  filter->setFixedWidth(220);
  connect(filter, &QLineEdit::textChanged, m_proxy, &QSortFilterProxyModel::setFilterFixedString);
  return filter;
}

std::vector<int> Table::selectedRows() const {
  std::vector<int> rows;
  for (const QModelIndex& index : selectionModel()->selectedRows()) {
    rows.push_back(m_proxy->mapToSource(index).row());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

QString Table::selectionText() const {
  QModelIndexList rows = selectionModel()->selectedRows();
  std::sort(rows.begin(), rows.end());
  QStringList lines;
  for (const QModelIndex& row : rows) {
    QStringList cells;
    for (int column = 0; column < model()->columnCount(); ++column) {
      cells << model()->index(row.row(), column).data(Qt::DisplayRole).toString();
    }
    lines << cells.join('\t');
  }
  return lines.join('\n');
}

void Table::keyPressEvent(QKeyEvent* event) {
  if (event->matches(QKeySequence::Copy)) {
    QApplication::clipboard()->setText(selectionText());
    return;
  }
  QTableView::keyPressEvent(event);
}

}  // namespace bitloom

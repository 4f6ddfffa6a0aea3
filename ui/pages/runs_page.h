// SPDX-License-Identifier: GPL-3.0-or-later
// Everything that was tried: prove the plan, look through runs, restore, compare, export, delete.
#pragma once
#include <QLabel>
#include <QPushButton>
#include <QWidget>

#include "ui/document.h"

class QCheckBox;
class QTableWidget;

namespace bitloom {

class Card;
class ProveCard;
class RunTable;
class Table;

class RunsPage : public QWidget {
  Q_OBJECT
 public:
  explicit RunsPage(Document& document, QWidget* parent = nullptr);
  void selectRun(int64_t id);

 private:
  QWidget* buildRuns();
  QWidget* buildCompare();
  void reload();
  void showSelection();
  void restore();
  void compare();
  void remove();
  void undoRemove();
  void exportRuns();
  std::vector<Run> selected() const;

  Document& m_document;
  RunTable* m_runs;
  Table* m_view = nullptr;
  QLabel* m_empty = nullptr;
  QCheckBox* m_all = nullptr;
  QPushButton* m_restore = nullptr;
  QPushButton* m_compareButton = nullptr;
  QPushButton* m_delete = nullptr;
  QPushButton* m_undoDelete = nullptr;
  Card* m_compare = nullptr;
  QTableWidget* m_figures = nullptr;
  QTableWidget* m_changes = nullptr;
  QLabel* m_compareNote = nullptr;
  std::vector<int64_t> m_removed;  // by the last delete
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Pick the program that will run the model; see what it will and will not load, and what changes
// for it, before the work; write, verify, and copy the command that runs it.
#pragma once
#include <QLabel>
#include <QPushButton>
#include <QWidget>
#include <optional>

#include "ui/document.h"

class QButtonGroup;
class QComboBox;
class QLineEdit;
class QListWidget;

namespace bitloom {

class Card;

class ExportPage : public QWidget {
  Q_OBJECT
 public:
  explicit ExportPage(Document& document, QWidget* parent = nullptr);
  void setTarget(const QString& path);

 private:
  QWidget* buildChoices();
  QWidget* buildCheck();
  QWidget* buildResult();
  Recipe chosenRecipe() const;
  void check();
  void showCheck();
  void showDisk();
  void browse();
  void start();
  void showDone(const QuantizeSummary& summary, const QString& command);
  QString defaultTarget() const;

 protected:
  void showEvent(QShowEvent* event) override;

 private:
  Document& m_document;
  const Exporter* m_exporter = nullptr;
  std::optional<ExportCheck> m_check;
  QString m_problem;
  bool m_targetEdited = false;
  bool m_stale = true;  // the plan moved on while the page was hidden
  QButtonGroup* m_group = nullptr;
  QLabel* m_loads = nullptr;
  QLabel* m_refuses = nullptr;
  QLabel* m_size = nullptr;
  QLabel* m_disk = nullptr;
  QLabel* m_changesTitle = nullptr;
  QListWidget* m_changes = nullptr;
  QComboBox* m_method = nullptr;  // data: a method's name, or nothing for the recipe's own
  QLineEdit* m_target = nullptr;
  QPushButton* m_write = nullptr;
  Card* m_result = nullptr;
  QLabel* m_done = nullptr;
  QLineEdit* m_command = nullptr;
};

}  // namespace bitloom

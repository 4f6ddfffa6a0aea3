// SPDX-License-Identifier: GPL-3.0-or-later
// The proof: a button, a table of plan and rivals with 95 % intervals (over all texts or one of
// them), the worst text, one sentence of verdict.
#pragma once
#include <QComboBox>
#include <QTableWidget>

#include "ui/document.h"
#include "ui/prove.h"
#include "ui/widgets/card.h"

namespace bitloom {

class ProveCard : public Card {
  Q_OBJECT
 public:
  explicit ProveCard(Document& document, QWidget* parent = nullptr);

 private:
  void start();
  void show(const ProveReport& report);
  void fill();  // the table, for the chosen text
  const Evaluation& shownOf(const ProveRow& row) const;
  QString pairedText(const ProveRow& row) const;
  void keep(const ProveReport& report);
  void refresh();

  Document& m_document;
  QPushButton* m_button;
  QLabel* m_note;
  QTableWidget* m_table;
  QComboBox* m_texts;  // all, then each
  QLabel* m_worst;
  QLabel* m_verdict;
  ProveReport m_report;
  int m_job = 0;
};

// Few rows of text, no editing, as high as its rows: used by proofs and comparisons.
QTableWidget* makeSmallTable(const QStringList& header, const char* objectName, QWidget* parent);
void fitHeight(QTableWidget* table);

}  // namespace bitloom

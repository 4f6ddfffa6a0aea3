// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors broke a token of an answer: searched in the background, the best three shown with
// the divergence that each gives back, and restored in the plan by a button.
#pragma once
#include <QFrame>
#include <QGridLayout>
#include <QLabel>
#include <memory>
#include <vector>

#include "core/token_culprits.h"
#include "ui/document.h"

namespace bitloom {

class CulpritPanel : public QFrame {
  Q_OBJECT

 public:
  struct Question {
    std::shared_ptr<const Variant> reference, variant;
    std::vector<TokenId> context;  // before the token
    QString token;
    size_t number = 0;    // of the token in the answer, from 1
    bool ofPlan = false;  // the variant is the document's plan: its tensors can be restored there
  };

  explicit CulpritPanel(Document& document, QWidget* parent = nullptr);  // hidden

  void explain(Question question);
  void forget();  // hides; a search under way is cancelled

 private:
  void show(const TokenCulprits& found);
  void addRow(int row, const Culprit& culprit, double before);
  void clearRows();

  Document& m_document;
  Question m_question;
  QLabel* m_title;
  QLabel* m_note;
  QWidget* m_rows;
  QGridLayout* m_grid;
  int m_job = 0;
};

}  // namespace bitloom

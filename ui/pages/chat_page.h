// SPDX-License-Identifier: GPL-3.0-or-later
// Chat: two columns over one prompt. Both answer the same text with the same template, seed and
// sampling; when both are done the right column is compared with the left, token by token.
#pragma once
#include <QCheckBox>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QWidget>

#include "ui/pages/chat_column.h"
#include "ui/widgets/culprit_panel.h"

namespace bitloom {

class ChatPage : public QWidget {
  Q_OBJECT

 public:
  explicit ChatPage(Document& document, QWidget* parent = nullptr);

 protected:
  void showEvent(QShowEvent* event) override;

 private:
  QWidget* buildSettings();
  QWidget* buildVote();
  QWidget* buildPrompt();
  void reload();
  void send();
  void ask(const QString& prompt);
  void regenerate();
  void stop();
  void columnAnswered();
  bool isBusy() const;
  void compare();
  void forgetComparison();
  void showCompared(const std::vector<ChatToken>& compared, bool forced);
  void explain(size_t token);
  void vote(const QString& winner);
  void setBlind(bool blind);
  void setSwapped(bool swapped);
  void updateButtons();
  void showError(const QString& message);
  ChatOptions options() const;

  Document& m_document;
  ChatColumn* m_left;
  ChatColumn* m_right;
  CulpritPanel* m_culprits;
  QLabel* m_error;
  QLabel* m_template;
  QLineEdit* m_prompt;
  QLineEdit* m_system;
  QPushButton* m_send;
  QPushButton* m_regenerate;
  QPushButton* m_clear;
  QWidget* m_voteBar;
  QLabel* m_voteText;
  QCheckBox* m_forced;
  QCheckBox* m_blind;
  QSpinBox* m_seed;
  QDoubleSpinBox* m_temperature;
  QSpinBox* m_maxTokens;
  QString m_lastPrompt;
  int m_compareJob = 0;
  std::vector<TokenId> m_comparedPrompt, m_comparedIds;
  bool m_swapped = false;  // blind mode put the left column, conversation and all, on the right
  bool m_askedBlind = false;
  bool m_voted = false;
};

}  // namespace bitloom

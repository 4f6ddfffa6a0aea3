// SPDX-License-Identifier: GPL-3.0-or-later
// One column of the Chat page: which model or plan answers, its transcript, its figures. A column
// answers in a background job; tokens are fetched from it thirty times a second. Knows no other
// column: the page compares them.
#pragma once
#include <QComboBox>
#include <QFrame>
#include <QLabel>
#include <QTimer>
#include <memory>
#include <mutex>
#include <vector>

#include "core/chat.h"
#include "ui/document.h"
#include "ui/widgets/transcript_view.h"

namespace bitloom {

class ChatColumn : public QFrame {
  Q_OBJECT

 public:
  enum class Source { Reference, Plan, Codec, File };

  ChatColumn(Document& document, Source source, const QString& codec, QWidget* parent = nullptr);

  void reload();  // the document's model changed
  void choose(Source source, const QString& codec = {});
  void refreshChoices() { fillChoices(); }     // the plan changed
  void swapWith(ChatColumn& other);            // sources and conversations; neither is busy
  QString title() const;                       // "F16 (reference)", "This plan · 4.0 bpw"
  void setHiddenTitle(const QString& hidden);  // blind mode; empty: shown
  QString shownTitle() const { return m_hiddenTitle.isEmpty() ? title() : m_hiddenTitle; }

  // Answers `prompt` after the conversation so far; `answered` follows, or `failed`.
  void ask(const QString& prompt, const QString& system, const ChatOptions& options);
  void stop();
  void clear();
  void dropLastExchange();  // the last prompt and its answer, for regenerate
  bool isBusy() const { return m_job != 0; }
  Source source() const { return m_source; }

  const ChatAnswer& answer() const { return m_answer; }            // of the last prompt
  const std::vector<TokenId>& prompt() const { return m_prompt; }  // ids that were answered
  const QString& answeredBy() const { return m_answeredBy; }       // title when the prompt was sent
  std::shared_ptr<const Variant> variant() const { return m_variant; }  // that answered
  QString answerText() const { return QString::fromStdString(m_answer.text); }

  // Marks of the last answer: KL and both top-5 lists for each token, and where it parts from the
  // other column (−1: nowhere).
  void showComparison(const std::vector<ChatToken>& compared, int divergence,
                      const QString& leftTitle, const QString& rightTitle);
  void showForced(const std::vector<ChatToken>& scored, const QString& leftTitle,
                  const QString& rightTitle);
  void setFooter(const QString& text);
  TranscriptView& transcript() { return *m_transcript; }

 signals:
  void answered();
  void failed(const QString& message);
  void tokenAsked(size_t token);  // of the last answer as it is shown: which tensor broke it

 private:
  struct Stream;
  struct Question;
  void fillChoices();
  void fillDevices();
  void showDetail();
  void pull();
  void finish(Result<ChatAnswer> answer);
  void showAnswer(const std::vector<ChatToken>& tokens);
  void mark(const std::vector<ChatToken>& compared, int divergence, const QString& leftTitle,
            const QString& rightTitle);
  void showFigures();
  Result<Recipe> recipe() const;

  Document& m_document;
  QComboBox* m_choice;
  QComboBox* m_device;
  QLabel* m_hidden;
  QLabel* m_figures;
  QLabel* m_detail;
  QLabel* m_footer;
  TranscriptView* m_transcript;
  QTimer m_pull;
  Source m_source;
  QString m_codec;
  QString m_file;
  QString m_deviceId;  // UUID of the device that answers; empty: the CPU
  int m_job = 0;
  std::shared_ptr<Stream> m_stream;
  std::shared_ptr<const Variant> m_variant;
  std::vector<ChatMessage> m_messages;
  bool m_hasExchange = false;  // the last prompt is among the messages
  std::vector<TokenId> m_prompt;
  ChatAnswer m_answer;
  QString m_answeredBy;
  QString m_hiddenTitle;
};

}  // namespace bitloom

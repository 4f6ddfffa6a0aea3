// SPDX-License-Identifier: GPL-3.0-or-later
// The Chat page under a test's hands, and the core's own answers to compare it with.
#pragma once
#include <set>

#include "tests/support/tiny_model.h"
#include "tests/ui/studio.h"
#include "ui/pages/chat_page.h"

namespace bitloom::test {

using Messages = std::vector<ChatMessage>;

// What the core answers, on a cache and threads of its own.
class Oracle {
 public:
  explicit Oracle(const std::filesystem::path& path)
      : m_model(*Model::open(path)), m_tokenizer(*Tokenizer::create(m_model->metadata())) {}

  Variant variant(const Recipe& recipe = {}, const Calibration* calibration = nullptr) {
    Variant seen = *Variant::create(m_model, m_weights);
    if (!recipe.rules.empty()) seen.setPlan(*resolve(recipe, *m_model), calibration);
    return seen;
  }
  std::vector<TokenId> prompt(const Messages& conversation) {
    const auto chat = ChatTemplate::detect(m_model->metadata());
    return m_tokenizer.encode(*chat.render(conversation, true), true);
  }
  ChatAnswer answer(const Variant& seen, const Messages& conversation, const ChatOptions& options) {
    return *bitloom::answer(seen, m_tokenizer, prompt(conversation), options, {}, m_job);
  }
  std::vector<ChatToken> compare(const Variant& reference, const Variant& seen,
                                 const Messages& conversation, const ChatAnswer& answer) {
    std::vector<TokenId> ids;
    for (const ChatToken& token : answer.tokens) ids.push_back(token.id);
    return *compareForced(reference, seen, m_tokenizer, prompt(conversation), ids, m_job);
  }

 private:
  WeightCache m_weights{uint64_t(1) << 29};
  Workers m_workers;
  JobControl m_control;
  JobContext m_job{m_workers, m_control};
  std::shared_ptr<const Model> m_model;
  Tokenizer m_tokenizer;
};

inline std::vector<TokenId> idsOf(const ChatAnswer& answer) {
  std::vector<TokenId> ids;
  for (const ChatToken& token : answer.tokens) ids.push_back(token.id);
  return ids;
}

inline QString textOf(const TranscriptMessage& message) {
  QString text;
  for (const TranscriptToken& token : message.tokens) text += token.text;
  return text;
}

// The built-in model answers most prompts with a few words; this one with some hundred.
constexpr const char* kLongTalk =
    "What happened next? Tell me everything that happened on the long journey.";

class ChatPageTest : public testing::Test {
 protected:
  void open(const std::filesystem::path& path) {
    ASSERT_TRUE(studio.open(QString::fromStdString(path.string())));
    if (!page) {
      page = std::make_unique<ChatPage>(*studio.document);
      page->resize(1180, 680);
      page->show();
      ASSERT_TRUE(QTest::qWaitForWindowActive(page.get()));
      left = find<ChatColumn>("leftColumn");
      right = find<ChatColumn>("rightColumn");
      prompt = find<QLineEdit>("promptEdit");
    }
    ASSERT_TRUE(studio.waitForIdle());
  }
  void openTiny() {
    tiny = writeTinyModel(studio.folder / "tiny.gguf", {.halfFloats = true});
    open(tiny);
  }
  void openBuiltin() { open(sourcePath("resources/models/bitloom-story-11m-f16.gguf")); }

  template <typename T>
  T* find(const char* name) const {
    return page->findChild<T*>(name);
  }
  // Replaces what stands in an editor, by keyboard.
  void type(const char* editor, const QString& text) {
    auto* widget = find<QWidget>(editor);
    widget->setFocus();
    QTest::keyClick(widget, Qt::Key_A, Qt::ControlModifier);
    QTest::keyClicks(widget, text);
  }
  void send(const QString& text) {
    prompt->setFocus();
    QTest::keyClicks(prompt, text);
    QTest::keyClick(prompt, Qt::Key_Return);
  }
  void click(const char* button) { QTest::mouseClick(find<QPushButton>(button), Qt::LeftButton); }
  bool bothAnswered() {
    return QTest::qWaitFor([&] { return !left->isBusy() && !right->isBusy(); }, kPatience) &&
           studio.waitForIdle();
  }
  bool ask(const QString& text) {
    send(text);
    return left->isBusy() && right->isBusy() && bothAnswered();
  }
  static QString shown(ChatColumn* column) {
    const auto& messages = column->transcript().messages();
    return messages.empty() ? QString() : textOf(messages.back());
  }
  static std::string footer(ChatColumn* column) {
    return column->findChild<QLabel*>("footerLabel")->text().toStdString();
  }
  static std::vector<int> marks(ChatColumn* column) {
    std::vector<int> result;
    const auto& tokens = column->transcript().messages().back().tokens;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].diverges) result.push_back(int(i));
    }
    return result;
  }
  QLabel* error() const { return find<QLabel>("errorLabel"); }

  const Recipe tq3 = uniformRecipe(*findCodec("tq3_1s"));
  Studio studio;
  std::filesystem::path tiny;
  std::unique_ptr<ChatPage> page;
  ChatColumn* left = nullptr;
  ChatColumn* right = nullptr;
  QLineEdit* prompt = nullptr;
};

}  // namespace bitloom::test

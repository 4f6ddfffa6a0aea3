// SPDX-License-Identifier: GPL-3.0-or-later
// Answers on the Chat page: streamed, stopped, continued, refused.
#include "ui/pages/chat_page.h"

#include <QElapsedTimer>

#include "tests/ui/chat_desk.h"

namespace bitloom {
namespace {

using namespace test;

// How long the shown answers were while they came.
struct Watch {
  std::set<size_t> left, right;
};

TEST_F(ChatPageTest, BothColumnsStreamWhatTheCoreAnswers) {
  openBuiltin();
  EXPECT_TRUE(left->title().contains("F16"));
  EXPECT_TRUE(right->title().contains("TQ3_1S"));
  type("maxTokensSpinBox", "400");
  send(kLongTalk);
  EXPECT_TRUE(prompt->text().isEmpty());
  Watch seen;
  ASSERT_TRUE(QTest::qWaitFor(
      [&] {
        if (left->isBusy()) seen.left.insert(size_t(shown(left).size()));
        if (right->isBusy()) seen.right.insert(size_t(shown(right).size()));
        return !left->isBusy() && !right->isBusy();
      },
      kPatience));
  EXPECT_GT(seen.left.size(), 3u) << "the left answer came in one piece";
  EXPECT_GT(seen.right.size(), 3u) << "the right answer came in one piece";

  Oracle oracle(studio.document->model().path());
  const ChatOptions options{.sampler = {.temperature = 0, .seed = 42}, .maxTokens = 400};
  const Messages conversation{{"user", kLongTalk}};
  const ChatAnswer source = oracle.answer(oracle.variant(), conversation, options);
  const ChatAnswer coded = oracle.answer(oracle.variant(tq3), conversation, options);
  ASSERT_NE(source.text, coded.text) << "the columns could not be told apart";
  ASSERT_GT(source.tokens.size(), 20u);
  EXPECT_EQ(shown(left).toStdString(), source.text);
  EXPECT_EQ(shown(right).toStdString(), coded.text);
  EXPECT_EQ(idsOf(left->answer()), idsOf(source));
  EXPECT_EQ(idsOf(right->answer()), idsOf(coded));
  EXPECT_EQ(left->transcript().plainText().toStdString(),
            std::string("> ") + kLongTalk + "\n\n" + source.text);
  EXPECT_TRUE(left->findChild<QLabel*>("figuresLabel")->text().contains("tok/s"));
}

TEST_F(ChatPageTest, OneColumnOnADeviceTheOtherOnTheCpu) {
  openTiny();
  auto* device = left->findChild<QComboBox*>("deviceComboBox");
  EXPECT_EQ(device->itemText(0), "CPU");
  if (device->count() < 2) GTEST_SKIP() << studio.document->devices().problem().toStdString();
  device->setCurrentIndex(1);
  emit device->activated(1);
  type("maxTokensSpinBox", "24");
  ASSERT_TRUE(ask("in the thin"));
  EXPECT_TRUE(left->answer().onDevice) << left->answer().note;
  EXPECT_FALSE(right->answer().onDevice);
  const auto detail = [](ChatColumn* column) {
    return column->findChild<QLabel*>("detailLabel")->text();
  };
  EXPECT_TRUE(detail(left).contains("Vulkan")) << detail(left).toStdString();
  EXPECT_TRUE(detail(right).contains("CPU")) << detail(right).toStdString();
  EXPECT_TRUE(left->findChild<QLabel*>("figuresLabel")->text().contains("f32"));

  Oracle oracle(tiny);
  Variant exact = oracle.variant();
  exact.setPrecision(Precision::Exact);
  const ChatOptions options{.sampler = {.temperature = 0, .seed = 42}, .maxTokens = 24};
  const ChatAnswer source = oracle.answer(exact, {{"user", "in the thin"}}, options);
  EXPECT_EQ(idsOf(left->answer()), idsOf(source));
}

TEST_F(ChatPageTest, SamplingSeedLengthAndSystemTextReachTheModel) {
  openTiny();
  type("temperatureSpinBox", "0.9");
  type("seedSpinBox", "7");
  type("maxTokensSpinBox", "24");
  type("systemEdit", "the hen");
  ASSERT_TRUE(ask("in the thin"));
  Oracle oracle(tiny);
  const Messages conversation{{"system", "the hen"}, {"user", "in the thin"}};
  ChatOptions options{.sampler = {.temperature = 0.9, .seed = 7}, .maxTokens = 24};
  const auto answer = [&](const Recipe& recipe) {
    return oracle.answer(oracle.variant(recipe), conversation, options);
  };
  EXPECT_EQ(idsOf(left->answer()), idsOf(answer({})));
  EXPECT_EQ(idsOf(right->answer()), idsOf(answer(tq3)));
  options.sampler.seed = 8;
  EXPECT_NE(idsOf(left->answer()), idsOf(answer({}))) << "the seed decides nothing here";
}

TEST_F(ChatPageTest, SecondTurnGoesOnFromEachColumnsOwnAnswer) {
  openTiny();
  type("maxTokensSpinBox", "10");
  ASSERT_TRUE(ask("the hen"));
  const std::string leftText = left->answer().text;
  const std::string rightText = right->answer().text;
  ASSERT_NE(leftText, rightText);
  ASSERT_TRUE(ask("in a tin"));
  Oracle oracle(tiny);
  const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = 10};
  const auto answer = [&](const Recipe& recipe, const std::string& own) {
    const Messages turns{{"user", "the hen"}, {"assistant", own}, {"user", "in a tin"}};
    return idsOf(oracle.answer(oracle.variant(recipe), turns, options));
  };
  EXPECT_EQ(idsOf(left->answer()), answer({}, leftText));
  EXPECT_EQ(idsOf(right->answer()), answer(tq3, rightText));
  EXPECT_EQ(left->transcript().messages().size(), 4u);
  // The comparison scores the right column's tokens behind the right column's conversation.
  const Messages turns{{"user", "the hen"}, {"assistant", rightText}, {"user", "in a tin"}};
  const auto scored = oracle.compare(oracle.variant(), oracle.variant(tq3), turns, right->answer());
  const auto& tokens = right->transcript().messages().back().tokens;
  ASSERT_EQ(tokens.size(), scored.size());
  for (size_t i = 0; i < tokens.size(); ++i) EXPECT_NEAR(tokens[i].kld, scored[i].kld, 1e-6);
}

TEST_F(ChatPageTest, RegenerateReplacesTheLastAnswerWithTheNextSeed) {
  openTiny();
  type("temperatureSpinBox", "1.2");
  type("maxTokensSpinBox", "16");
  ASSERT_TRUE(ask("the hen"));
  const auto before = idsOf(left->answer());
  click("regenerateButton");
  ASSERT_TRUE(left->isBusy());
  ASSERT_TRUE(bothAnswered());
  EXPECT_EQ(left->transcript().messages().size(), 2u);
  Oracle oracle(tiny);
  const ChatOptions options{.sampler = {.temperature = 1.2, .seed = 43}, .maxTokens = 16};
  const auto expected = idsOf(oracle.answer(oracle.variant(), {{"user", "the hen"}}, options));
  ASSERT_NE(expected, before);
  EXPECT_EQ(idsOf(left->answer()), expected);
}

TEST_F(ChatPageTest, StopEndsBothWithinASecondAndBothGoOn) {
  openBuiltin();
  // The weights of both columns are ready then, and both answers begin together.
  type("maxTokensSpinBox", "1");
  ASSERT_TRUE(ask("Once"));
  click("newChatButton");
  type("maxTokensSpinBox", "450");
  send(kLongTalk);
  ASSERT_TRUE(QTest::qWaitFor(
      [&] { return left->answer().tokens.size() >= 5 && right->answer().tokens.size() >= 5; },
      kPatience));
  ASSERT_TRUE(left->isBusy() && right->isBusy()) << "the answers were too short to be stopped";
  QElapsedTimer clock;
  clock.start();
  QTest::keyClick(prompt, Qt::Key_Escape);
  ASSERT_TRUE(QTest::qWaitFor([&] { return !left->isBusy() && !right->isBusy(); }, kPatience));
  EXPECT_LT(clock.elapsed(), 1000);
  EXPECT_TRUE(error()->isHidden()) << "a stop is no error";
  ASSERT_TRUE(studio.waitForIdle());

  Oracle oracle(studio.document->model().path());
  const ChatOptions full{.sampler = {.temperature = 0},
                         .maxTokens = uint32_t(left->answer().tokens.size()) + 5};
  const std::string whole = oracle.answer(oracle.variant(), {{"user", kLongTalk}}, full).text;
  const std::string kept = left->answer().text;
  EXPECT_LT(kept.size(), whole.size());
  EXPECT_EQ(whole.substr(0, kept.size()), kept);
  EXPECT_EQ(shown(left).toStdString(), kept);
  const auto scored =
      oracle.compare(oracle.variant(), oracle.variant(tq3), {{"user", kLongTalk}}, right->answer());
  const auto& tokens = right->transcript().messages().back().tokens;
  ASSERT_EQ(tokens.size(), scored.size());
  EXPECT_NEAR(tokens.back().kld, scored.back().kld, 1e-4);

  type("maxTokensSpinBox", "6");
  ASSERT_TRUE(ask("Then it"));
  const ChatOptions few{.sampler = {.temperature = 0}, .maxTokens = 6};
  const Messages turns{{"user", kLongTalk}, {"assistant", kept}, {"user", "Then it"}};
  EXPECT_EQ(idsOf(left->answer()), idsOf(oracle.answer(oracle.variant(), turns, few)));
  EXPECT_FALSE(right->answer().tokens.empty());
}

TEST_F(ChatPageTest, SendButtonBecomesStopWhileAnAnswerComes) {
  openBuiltin();
  auto* button = find<QPushButton>("sendButton");
  EXPECT_EQ(button->text(), "Send");
  type("maxTokensSpinBox", "450");
  prompt->setFocus();
  QTest::keyClicks(prompt, kLongTalk);
  QTest::mouseClick(button, Qt::LeftButton);
  ASSERT_TRUE(left->isBusy());
  EXPECT_EQ(button->text(), "Stop");
  ASSERT_TRUE(QTest::qWaitFor([&] { return !left->answer().tokens.empty(); }, kPatience));
  QTest::mouseClick(button, Qt::LeftButton);
  ASSERT_TRUE(bothAnswered());
  EXPECT_EQ(button->text(), "Send");
  EXPECT_LT(left->answer().tokens.size(), 450u);
  EXPECT_FALSE(left->answer().ended);
}

TEST_F(ChatPageTest, EmptyPromptDoesNothing) {
  openTiny();
  for (const char* nothing : {"", "   "}) {
    send(nothing);
    EXPECT_FALSE(left->isBusy() || right->isBusy());
    EXPECT_FALSE(find<QPushButton>("sendButton")->isEnabled());
    EXPECT_TRUE(left->transcript().messages().empty());
    EXPECT_TRUE(error()->isHidden());
  }
  prompt->clear();
  ASSERT_TRUE(ask("the hen")) << "the same keys with a prompt";
}

TEST_F(ChatPageTest, ThePlanAnswersWithTheStatisticsThatItsMethodsAskFor) {
  openTiny();
  Recipe recipe = uniformRecipe(*findCodec("tq2_1b4"));
  for (Rule& rule : recipe.rules) rule.method = "imatrix";
  ASSERT_TRUE(studio.document->setRecipe(recipe, "with importances"));
  right->choose(ChatColumn::Source::Plan);
  type("maxTokensSpinBox", "40");
  ASSERT_TRUE(ask("the hen"));
  Oracle oracle(tiny);
  JobControl control;
  JobContext job(studio.workers, control);
  const auto statistics = studio.document->work()->calibrationFor(studio.document->plan(), job);
  ASSERT_TRUE(statistics && *statistics);
  const Messages conversation{{"user", "the hen"}};
  const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = 40};
  const auto answer = [&](const Recipe& wanted) {
    const Variant seen = oracle.variant(wanted, statistics->get());
    return idsOf(oracle.answer(seen, conversation, options));
  };
  ASSERT_NE(answer(recipe), answer(uniformRecipe(*findCodec("tq2_1b4"))))
      << "the statistics decide nothing here";
  EXPECT_EQ(idsOf(right->answer()), answer(recipe));
}

TEST_F(ChatPageTest, AColumnAnswersFromAnyFile) {
  openTiny();
  const auto other = test::writeTinyModel(studio.folder / "other.gguf", {.seed = 5});
  type("maxTokensSpinBox", "12");
  auto* choice = right->findChild<QComboBox*>("sourceComboBox");
  QTimer::singleShot(0, page.get(), [&] {
    auto* dialog = qobject_cast<QFileDialog*>(QApplication::activeModalWidget());
    ASSERT_NE(dialog, nullptr);
    test::typePath(*dialog, other);
  });
  choice->setFocus();
  QTest::keyClick(choice, Qt::Key_End);
  EXPECT_EQ(right->title(), "other.gguf");
  ASSERT_TRUE(ask("the hen"));
  Oracle oracle(other);
  const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = 12};
  const auto expected = oracle.answer(oracle.variant(), {{"user", "the hen"}}, options);
  EXPECT_EQ(idsOf(right->answer()), idsOf(expected));
  EXPECT_NE(idsOf(left->answer()), idsOf(expected));
}

TEST_F(ChatPageTest, AModelWithoutTokenizerIsRefusedInOneSentence) {
  std::string bytes = test::tinyModelBytes();
  const std::string key = "tokenizer.ggml.model";
  bytes.replace(bytes.find(key), key.size(), "tokenizer.gone.model");
  test::writeFile(studio.folder / "mute.gguf", bytes);
  open(studio.folder / "mute.gguf");
  EXPECT_TRUE(error()->isVisible());
  EXPECT_EQ(error()->text().count('.'), 1) << error()->text().toStdString();
  EXPECT_TRUE(error()->text().endsWith('.'));
  EXPECT_TRUE(error()->text().contains("tokenizer"));
  EXPECT_FALSE(prompt->isEnabled());
  EXPECT_FALSE(find<QPushButton>("sendButton")->isEnabled());
  openTiny();
  EXPECT_FALSE(error()->isVisible()) << "the next model can chat";
  EXPECT_TRUE(ask("the hen"));
}

TEST_F(ChatPageTest, APromptBeyondTheContextIsRefusedInOneSentenceAndCanBeChanged) {
  openTiny();
  type("maxTokensSpinBox", "6");
  ASSERT_TRUE(ask("the hen"));
  const auto before = left->transcript().plainText();
  const QString tooLong = QString("hen in a tin ").repeated(30).trimmed();
  ASSERT_TRUE(ask(tooLong));
  EXPECT_TRUE(error()->isVisible());
  EXPECT_TRUE(error()->text().contains("128")) << error()->text().toStdString();
  EXPECT_EQ(error()->text().count('.'), 1) << error()->text().toStdString();
  EXPECT_EQ(left->transcript().plainText(), before) << "what was refused is no part of the talk";
  EXPECT_EQ(prompt->text(), tooLong) << "the prompt is lost";
  prompt->clear();
  ASSERT_TRUE(ask("a tin"));
  EXPECT_FALSE(error()->isVisible());
  EXPECT_FALSE(left->answer().tokens.empty());
  EXPECT_EQ(right->transcript().messages().size(), 4u);
}

TEST_F(ChatPageTest, AnotherModelDropsTheAnswerUnderWay) {
  openBuiltin();
  type("maxTokensSpinBox", "450");
  send(kLongTalk);
  ASSERT_TRUE(QTest::qWaitFor([&] { return !left->answer().tokens.empty(); }, kPatience));
  openTiny();
  EXPECT_TRUE(left->transcript().messages().empty());
  type("maxTokensSpinBox", "8");
  ASSERT_TRUE(ask("the hen"));
  Oracle oracle(tiny);
  const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = 8};
  const auto expected = oracle.answer(oracle.variant(), {{"user", "the hen"}}, options);
  EXPECT_EQ(idsOf(left->answer()), idsOf(expected));
  EXPECT_EQ(left->transcript().messages().size(), 2u);
}

}  // namespace
}  // namespace bitloom

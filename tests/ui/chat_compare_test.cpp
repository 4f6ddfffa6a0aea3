// SPDX-License-Identifier: GPL-3.0-or-later
// What the Chat page makes of two answers: marks, the forced view, votes.
#include "tests/ui/chat_desk.h"
#include "ui/theme.h"

namespace bitloom {
namespace {

using namespace test;

class ChatCompareTest : public ChatPageTest {};

TEST_F(ChatCompareTest, FirstDivergenceIsMarkedInBothColumnsAndTokensCarryTheirKl) {
  openTiny();
  type("maxTokensSpinBox", "20");
  ASSERT_TRUE(ask("the hen"));
  Oracle oracle(tiny);
  const Messages conversation{{"user", "the hen"}};
  const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = 20};
  const ChatAnswer source = oracle.answer(oracle.variant(), conversation, options);
  const ChatAnswer coded = oracle.answer(oracle.variant(tq3), conversation, options);
  int split = 0;
  while (source.tokens.at(size_t(split)).id == coded.tokens.at(size_t(split)).id) ++split;
  EXPECT_EQ(marks(left), std::vector<int>{split});
  EXPECT_EQ(marks(right), std::vector<int>{split});
  const std::string words = "first divergence at " + std::to_string(split + 1);
  EXPECT_NE(footer(right).find(words), std::string::npos) << footer(right);
  const auto scored = oracle.compare(oracle.variant(), oracle.variant(tq3), conversation, coded);
  const auto& tokens = right->transcript().messages().back().tokens;
  ASSERT_EQ(tokens.size(), scored.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_NEAR(tokens[i].kld, scored[i].kld, 1e-6);
    EXPECT_GT(tokens[i].kld, 0);
    EXPECT_TRUE(tokens[i].tooltip.contains("F16") && tokens[i].tooltip.contains("TQ3_1S"));
  }
  const QImage picture = left->transcript().viewport()->grab().toImage();
  int framed = 0;
  for (int y = 0; y < picture.height(); ++y) {
    for (int x = 0; x < picture.width(); ++x) framed += picture.pixelColor(x, y) == theme().warn;
  }
  EXPECT_GT(framed, 8) << "the mark is not drawn";
}

TEST_F(ChatCompareTest, EqualAnswersDivergeNowhere) {
  openTiny();
  right->choose(ChatColumn::Source::Reference);
  type("maxTokensSpinBox", "12");
  ASSERT_TRUE(ask("the hen"));
  EXPECT_EQ(shown(left), shown(right));
  EXPECT_TRUE(marks(left).empty() && marks(right).empty());
  EXPECT_NE(footer(right).find("no divergence"), std::string::npos) << footer(right);
}

TEST_F(ChatCompareTest, ForcedViewScoresTheLeftsTextAndGoesBack) {
  openTiny();
  type("maxTokensSpinBox", "16");
  ASSERT_TRUE(ask("the hen"));
  const QString own = shown(right);
  ASSERT_NE(shown(left), own);
  auto* forced = find<QCheckBox>("forcedCheckBox");
  forced->setFocus();
  QTest::keyClick(forced, Qt::Key_Space);
  ASSERT_TRUE(studio.waitForIdle());
  EXPECT_EQ(shown(right), shown(left));
  Oracle oracle(tiny);
  const auto scored =
      oracle.compare(oracle.variant(), oracle.variant(tq3), {{"user", "the hen"}}, left->answer());
  const auto& tokens = right->transcript().messages().back().tokens;
  ASSERT_EQ(tokens.size(), scored.size());
  for (size_t i = 0; i < tokens.size(); ++i) EXPECT_NEAR(tokens[i].kld, scored[i].kld, 1e-6);
  QTest::keyClick(forced, Qt::Key_Space);
  ASSERT_TRUE(studio.waitForIdle());
  EXPECT_EQ(shown(right), own);
}

TEST_F(ChatCompareTest, VoteIsStoredWithPromptTitlesAndTexts) {
  openTiny();
  type("maxTokensSpinBox", "8");
  EXPECT_FALSE(find<QPushButton>("leftVoteButton")->isEnabled()) << "nothing to vote on";
  ASSERT_TRUE(ask("the hen"));
  const std::string titles[] = {left->title().toStdString(), right->title().toStdString()};
  right->choose(ChatColumn::Source::Reference);  // a later choice changes nothing about the answer
  click("rightVoteButton");
  const auto votes = studio.document->store().votes();
  ASSERT_TRUE(votes);
  ASSERT_EQ(votes->size(), 1u);
  const Vote& vote = votes->front();
  EXPECT_EQ(vote.prompt, "the hen");
  EXPECT_EQ(vote.left, titles[0]);
  EXPECT_EQ(vote.right, titles[1]);
  EXPECT_EQ(vote.leftText, left->answer().text);
  EXPECT_EQ(vote.rightText, right->answer().text);
  EXPECT_EQ(vote.winner, "right");
  EXPECT_FALSE(vote.blind);
  ASSERT_EQ(studio.runs().size(), 1u);
  EXPECT_EQ(studio.runs()[0].kind, RunKind::Chat);
  EXPECT_EQ(studio.runs()[0].id, vote.run);
  EXPECT_EQ(studio.runs()[0].fingerprint, studio.document->model().fingerprint());
  EXPECT_FALSE(find<QPushButton>("leftVoteButton")->isEnabled()) << "one vote for one prompt";
}

TEST_F(ChatCompareTest, BlindVotesAreStoredUnderTheRealNamesWhicheverSideTheyWereOn) {
  openTiny();
  type("maxTokensSpinBox", "8");
  Oracle oracle(tiny);
  const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = 8};
  const Messages conversation{{"user", "the hen"}};
  const std::string source = oracle.answer(oracle.variant(), conversation, options).text;
  const std::string coded = oracle.answer(oracle.variant(tq3), conversation, options).text;
  find<QCheckBox>("blindCheckBox")->setFocus();
  QTest::keyClick(find<QCheckBox>("blindCheckBox"), Qt::Key_Space);
  std::set<bool> orders;
  for (size_t round = 0; round < 60 && orders.size() < 2; ++round) {
    ASSERT_TRUE(ask("the hen"));
    EXPECT_FALSE(left->findChild<QComboBox*>("sourceComboBox")->isVisible());
    EXPECT_FALSE(right->findChild<QLabel*>("figuresLabel")->isVisible());
    const QString tip = right->transcript().messages().back().tokens[0].tooltip;
    EXPECT_FALSE(tip.contains("F16") || tip.contains("TQ3")) << tip.toStdString();
    const bool swapped = left->answer().text == coded;
    EXPECT_EQ(left->answer().text, swapped ? coded : source);
    EXPECT_EQ(right->answer().text, swapped ? source : coded);
    orders.insert(swapped);
    click("leftVoteButton");
    const Vote vote = studio.document->store().votes()->at(round);
    EXPECT_TRUE(vote.blind);
    EXPECT_EQ(vote.leftText, source);
    EXPECT_EQ(vote.rightText, coded);
    EXPECT_NE(vote.left.find("F16"), std::string::npos) << vote.left;
    EXPECT_NE(vote.right.find("TQ3_1S"), std::string::npos) << vote.right;
    EXPECT_EQ(vote.winner, swapped ? "right" : "left");
    EXPECT_TRUE(left->findChild<QComboBox*>("sourceComboBox")->isVisible()) << "a vote unveils";
    click("newChatButton");
  }
  EXPECT_EQ(orders.size(), 2u) << "the columns are never shuffled";
}

TEST_F(ChatCompareTest, BlindTurnsKeepEveryConversationWithItsModel) {
  openTiny();
  type("maxTokensSpinBox", "6");
  find<QCheckBox>("blindCheckBox")->setFocus();
  QTest::keyClick(find<QCheckBox>("blindCheckBox"), Qt::Key_Space);
  Oracle oracle(tiny);
  const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = 6};
  Messages source, coded;
  const auto turn = [&](Messages& talk, const Recipe& recipe) {
    talk.push_back({"user", "hen"});
    talk.push_back({"assistant", oracle.answer(oracle.variant(recipe), talk, options).text});
    return talk.back().content;
  };
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(ask("hen"));
    const std::set<std::string> expected{turn(source, {}), turn(coded, tq3)};
    EXPECT_EQ((std::set<std::string>{left->answer().text, right->answer().text}), expected);
  }
  QTest::keyClick(find<QCheckBox>("blindCheckBox"), Qt::Key_Space);
  EXPECT_EQ(left->answer().text, source.back().content);
  EXPECT_TRUE(left->title().contains("F16"));
  EXPECT_EQ(right->answer().text, coded.back().content);
}

TEST_F(ChatCompareTest, ANewPromptIsNotMarkedWithTheComparisonBefore) {
  openTiny();
  type("maxTokensSpinBox", "20");
  send("the hen");
  ASSERT_TRUE(QTest::qWaitFor([&] { return !left->isBusy() && !right->isBusy(); }, kPatience));
  click("newChatButton");  // the comparison is still under way
  ASSERT_TRUE(studio.waitForIdle());
  EXPECT_TRUE(right->transcript().messages().empty());
  EXPECT_EQ(footer(right), "");
}

TEST_F(ChatCompareTest, AClickedTokenNamesTheTensorsThatBrokeItAndRestoresThemInThePlan) {
  openTiny();
  const size_t broken =
      studio.document->model().indexOf(*studio.document->model().find("blk.1.ffn_down.weight"));
  const size_t slight =
      studio.document->model().indexOf(*studio.document->model().find("blk.0.attn_q.weight"));
  Recipe recipe = studio.document->withCodec({broken}, "tq2_1b8", "test");
  ASSERT_TRUE(studio.document->setRecipe(recipe, "break one"));
  ASSERT_TRUE(
      studio.document->setRecipe(studio.document->withCodec({slight}, "q8_0", "test"), "one more"));
  right->choose(ChatColumn::Source::Plan);
  type("maxTokensSpinBox", "12");
  ASSERT_TRUE(ask("the hen"));

  auto* panel = find<QFrame>("culpritPanel");
  QWidget* answer = right->transcript().viewport();
  for (int y = 4; y < answer->height() && !panel->isVisible(); y += 6) {
    for (int x = 4; x < answer->width() && !panel->isVisible(); x += 6) {
      QTest::mouseClick(answer, Qt::LeftButton, {}, {x, y});
    }
  }
  ASSERT_TRUE(panel->isVisible());
  ASSERT_TRUE(studio.waitForIdle());
  const auto names = panel->findChildren<QLabel*>("culpritName");
  ASSERT_FALSE(names.empty()) << panel->findChild<QLabel*>("culpritNote")->text().toStdString();
  EXPECT_EQ(names[0]->text().toStdString(), "blk.1.ffn_down.weight");
  QTest::mouseClick(panel->findChildren<QPushButton*>("restoreCulpritButton")[0], Qt::LeftButton);
  EXPECT_EQ(studio.document->plan().tensors[broken].effective, nullptr);
  EXPECT_NE(studio.document->plan().tensors[slight].effective, nullptr);
  studio.document->undoStack()->undo();
  EXPECT_NE(studio.document->plan().tensors[broken].effective, nullptr);
  click("closeCulpritsButton");
  EXPECT_FALSE(panel->isVisible());
}

}  // namespace
}  // namespace bitloom

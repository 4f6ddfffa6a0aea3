// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/multiple_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/inference/forward.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::TinyRun;

ChoiceTask taskOf(const std::string& jsonLines) {
  return test::take(parseChoiceTask(jsonLines, "tasks.jsonl"));
}

std::string problemOf(const std::string& jsonLines) {
  const auto task = parseChoiceTask(jsonLines, "tasks.jsonl");
  return task ? "" : task.error().message;
}

// Catalogue entry T-30. Sums −6 and −8 over 3 and 16 characters: −2 and −0.5 each.
TEST(MultipleChoice, ALongChoiceMayLoseBySumAndWinPerCharacter) {
  const ChoiceTask task = taskOf(
      R"({"context": "Q", "choices": ["yes", "yes, of course, "], "answer": 1}
{"context": "Q", "choices": ["yes", "yes, of course, "], "answer": 0})");
  const ChoiceResult result = judge(task, {{-6, -8}, {-6, -8}});
  EXPECT_EQ(result.acc.right, (std::vector<uint8_t>{0, 1}));
  EXPECT_EQ(result.accNorm.right, (std::vector<uint8_t>{1, 0}));
  EXPECT_DOUBLE_EQ(result.acc.value, 0.5);
  EXPECT_DOUBLE_EQ(result.acc.error, std::sqrt(0.125));
}

TEST(MultipleChoice, CharactersAreCodePoints) {
  const ChoiceTask task = taskOf(R"({"context": "Q", "choices": ["é€𝄞", "abc"], "answer": 0})");
  EXPECT_EQ(task.items[0].alternatives[0].characters, 3U);
  EXPECT_EQ(task.items[0].alternatives[1].characters, 3U);
}

TEST(MultipleChoice, EqualSumsAreNamedAndTheFirstCounts) {
  const ChoiceTask task = taskOf(R"({"context": "Q", "choices": ["ab", "cd"], "answer": 1})");
  const ChoiceResult result = judge(task, {{-3, -3}});
  EXPECT_EQ(result.ties, 1U);
  EXPECT_EQ(result.acc.value, 0);
}

TEST(MultipleChoice, FlipsEqualTheHandComputedOnes) {
  Share first, second;
  first.right = {1, 0, 0, 0, 0, 0, 1, 1};
  second.right = {0, 1, 1, 1, 1, 1, 1, 1};
  const Flips flips = compareShares(first, second);
  EXPECT_EQ(flips.gained, 1U);
  EXPECT_EQ(flips.lost, 5U);
  EXPECT_DOUBLE_EQ(flips.difference, -0.5);
  EXPECT_NEAR(flips.probability, 2 * (1 + 6) / 64.0, 1e-12);  // six flips, one of them or none
  EXPECT_TRUE(flips.tie);
  EXPECT_EQ(compareShares(first, first).probability, 1);

  first.right.assign(8, 0);
  second.right.assign(8, 1);
  EXPECT_NEAR(compareShares(first, second).probability, 2 / 256.0, 1e-12);
  EXPECT_FALSE(compareShares(first, second).tie);
}

// Σ log p of the tokens of `whole` beyond the first `known`, each from a run of its own.
double plainSum(const Variant& variant, const std::vector<TokenId>& whole, size_t known,
                JobContext& job) {
  double sum = 0;
  for (size_t i = known; i < whole.size(); ++i) {
    Forward forward(variant);
    const std::span<const TokenId> prefix(whole.data(), i);
    Matrix stream = test::take(forward.embed(prefix, job));
    const std::vector<Segment> segments = {{.tokens = uint32_t(i)}};
    EXPECT_TRUE(forward.blocks(0, int(forward.graph().blocks), stream, segments, job));
    const std::vector<uint32_t> rows = {uint32_t(i - 1)};
    const Matrix logits = test::take(forward.head(stream, rows, job));
    sum -= negativeLogLikelihood({logits.row(0), logits.cols}, size_t(whole[i]));
  }
  return sum;
}

TEST(MultipleChoice, ScoresEqualTokenByTokenSums) {
  TinyRun run;
  const Tokenizer tokenizer = run.tokenizer();
  const ChoiceTask task =
      taskOf(R"({"context": "then an", "choices": ["he than", "x", "the"], "answer": 0}
{"context": "q", "choices": ["in the", "an hen"], "answer": 1})");
  const auto scores = test::take(scoreChoices(run.reference(), tokenizer, task, run.job()));
  ASSERT_EQ(scores.size(), 2U);
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t a = 0; a < scores[i].size(); ++a) {
      const Alternative& alternative = task.items[i].alternatives[a];
      const auto whole = tokenizer.encode(alternative.context + alternative.continuation);
      const size_t known = tokenizer.encode(alternative.context).size();
      const double expected = plainSum(run.reference(), whole, known, run.job());
      EXPECT_NEAR(scores[i][a], expected, 1e-4 * std::abs(expected)) << i << " " << a;
    }
  }
}

TEST(MultipleChoice, BlanksAtTheEndOfTheContextBelongToTheContinuation) {
  TinyRun run;
  const Tokenizer tokenizer = run.tokenizer();
  ChoiceTask task = taskOf(R"({"context": "then an", "choices": ["the", "he"], "answer": 0})");
  const auto tight = test::take(scoreChoices(run.reference(), tokenizer, task, run.job()));
  for (Alternative& alternative : task.items[0].alternatives) {
    alternative.context += " ";
    alternative.continuation.erase(0, 1);
  }
  const auto loose = test::take(scoreChoices(run.reference(), tokenizer, task, run.job()));
  EXPECT_EQ(tight, loose);
}

TEST(MultipleChoice, AnEmptyContextBeginsWithTheVocabularysFirstToken) {
  TinyRun run;
  const Tokenizer tokenizer = run.tokenizer();
  const ChoiceTask task = taskOf(R"({"context": "", "choices": ["the", "x"], "answer": 0})");
  const auto scores = test::take(scoreChoices(run.reference(), tokenizer, task, run.job()));
  std::vector<TokenId> whole = tokenizer.encode(" the");
  whole.insert(whole.begin(), *tokenizer.bos());
  const double expected = plainSum(run.reference(), whole, 1, run.job());
  EXPECT_NEAR(scores[0][0], expected, 1e-4 * std::abs(expected));
}

TEST(MultipleChoice, LongContextsLoseTheirFrontAndLongChoicesAreRefused) {
  TinyRun run;  // a context of 128 tokens
  const std::string q(150, 'q');
  const ChoiceTask task =
      taskOf(R"({"context": ")" + q + R"(", "choices": ["x", "z"], "answer": 0})");
  const Tokenizer tokenizer = run.tokenizer();
  const auto scores = test::take(scoreChoices(run.reference(), tokenizer, task, run.job()));
  std::vector<TokenId> whole = tokenizer.encode(q + " x");
  const size_t scored = whole.size() - tokenizer.encode(q).size();
  whole.erase(whole.begin(), whole.end() - 128);
  const double expected = plainSum(run.reference(), whole, 128 - scored, run.job());
  EXPECT_NEAR(scores[0][0], expected, 1e-4 * std::abs(expected));

  const ChoiceTask wide =
      taskOf(R"({"context": "a", "choices": ["x", ")" + q + R"("], "answer": 0})");
  const auto refused = scoreChoices(run.reference(), tokenizer, wide, run.job());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("tasks.jsonl line 1"), std::string::npos)
      << refused.error().message;
}

TEST(MultipleChoice, SameScoresAtAnyThreadCount) {
  const ChoiceTask task =
      taskOf(R"({"context": "then an", "choices": ["he than", "x", "the"], "answer": 0})");
  std::vector<ChoiceScores> all;
  for (int threads : {1, 3}) {
    TinyRun run(test::TinyModelOptions{}, threads);
    all.push_back(test::take(scoreChoices(run.reference(), run.tokenizer(), task, run.job())));
  }
  EXPECT_EQ(all[0], all[1]);
}

struct FormCase {
  const char* name;
  const char* line;
  const char* context;       // of the right alternative
  const char* continuation;  // likewise
  uint32_t answer;
};

class ChoiceForms : public testing::TestWithParam<FormCase> {};

TEST_P(ChoiceForms, PromptsAreThoseOfTheHarness) {
  std::string line = GetParam().line;
  std::replace(line.begin(), line.end(), '\n', ' ');
  const ChoiceTask task = taskOf(line);
  ASSERT_EQ(task.items.size(), 1U);
  const ChoiceItem& item = task.items[0];
  EXPECT_EQ(item.answer, GetParam().answer);
  EXPECT_EQ(item.alternatives[item.answer].context, GetParam().context);
  EXPECT_EQ(item.alternatives[item.answer].continuation, GetParam().continuation);
}

INSTANTIATE_TEST_SUITE_P(
    Tasks, ChoiceForms,
    testing::Values(
        FormCase{"plain", R"({"context": "C:", "choices": ["a", "b"], "answer": 1})", "C:", " b",
                 1},
        FormCase{"piqa", R"({"goal": "g", "sol1": "s", "sol2": "t", "label": 1})",
                 "Question: g\nAnswer:", " t", 1},
        FormCase{"arc",
                 R"({"question": "q?", "choices": {"text": ["a", "b"], "label": ["1", "2"]},
"answerKey": "2"})",
                 "Question: q?\nAnswer:", " b", 1},
        FormCase{"arcOld",
                 R"({"question": {"stem": "q?", "choices": [{"text": "a", "label": "A"},
{"text": "b", "label": "B"}]}, "answerKey": "A"})",
                 "Question: q?\nAnswer:", " a", 0},
        FormCase{"mmlu", R"({"question": "q?", "choices": ["a", "b", "c"], "answer": 2})",
                 "Question: q?\nAnswer:", " c", 2},
        FormCase{"openBookQa",
                 R"({"question_stem": "The sun", "choices": {"text": ["a", "b"],
"label": ["A", "B"]}, "answerKey": "B"})",
                 "The sun", " b", 1},
        FormCase{"hellaSwag",
                 R"({"activity_label": "Act", "ctx_a": "He sits. [step] Then", "ctx_b": "THE man",
"endings": ["x [title] y [z] w", "v"], "label": "0"})",
                 "Act: He sits. Then The man", " x. y w", 0},
        FormCase{"winoGrande",
                 R"({"sentence": "It fell as _ was big. ", "option1": "the cup",
"option2": "the box", "answer": "2"})",
                 "It fell as the box", " was big.", 1},
        FormCase{"boolQ", R"({"passage": "P.", "question": "is it", "answer": true})",
                 "P.\nQuestion: is it?\nAnswer:", " yes", 1}),
    [](const auto& form) { return form.param.name; });

TEST(MultipleChoice, BadLinesAreRefusedByFileLineAndKey) {
  const std::string good = R"({"context": "C", "choices": ["a", "b"], "answer": 0})";
  EXPECT_EQ(problemOf(good + "\n\n" + good.substr(0, 30)),
            "tasks.jsonl line 3: is no JSON object; the file may be cut off.");
  EXPECT_EQ(problemOf(""), "tasks.jsonl: holds no question.");
  EXPECT_NE(problemOf(R"({"a": 1})").find("keys of no known task"), std::string::npos);
  EXPECT_EQ(problemOf(R"({"context": "C", "choices": ["a", "b"]})"),
            "tasks.jsonl line 1: has no \"answer\".");
  EXPECT_EQ(problemOf(R"({"context": "C", "choices": ["a", "b"], "answer": 2})"),
            "tasks.jsonl line 1: names answer 2 (from 0) of 2 choices.");
  EXPECT_EQ(problemOf(R"({"context": "C", "choices": ["a"], "answer": 0})"),
            "tasks.jsonl line 1: has 1 choices, and a question takes two at least.");
  EXPECT_EQ(problemOf(R"({"context": "C", "choices": ["a", ""], "answer": 0})"),
            "tasks.jsonl line 1: has an empty choice.");
  EXPECT_EQ(problemOf(R"({"context": 7, "choices": ["a", "b"], "answer": 0})"),
            "tasks.jsonl line 1: \"context\" is 7, not a text.");
  EXPECT_EQ(problemOf(R"({"context": "C", "choices": ["a", 4], "answer": 0})"),
            "tasks.jsonl line 1: \"choices\" holds 4, not a text.");
  for (const char* answer : {"-1", "0.5", "1e300", "99999999999999999999", "\"x\"", "true", "[]"}) {
    const std::string line =
        R"({"context": "C", "choices": ["a", "b"], "answer": )" + std::string(answer) + "}";
    EXPECT_NE(problemOf(line).find("not the number of a choice"), std::string::npos) << line;
  }
  EXPECT_NE(problemOf(R"({"context": "C", "choices": ["a", "b"], "answer": 1e999})"), "");
  EXPECT_NE(
      problemOf(R"({"passage": "P", "question": "q", "answer": "yes"})").find("true or false"),
      std::string::npos);
  EXPECT_NE(problemOf(R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": 1})")
                .find("no _"),
            std::string::npos);
}

TEST(MultipleChoice, OnlySoManyQuestionsAreRead) {
  const std::string line = R"({"context": "C", "choices": ["a", "b"], "answer": 0})";
  const auto task = parseChoiceTask(line + "\n" + line + "\nbroken", "t", 2);
  ASSERT_TRUE(task);
  EXPECT_EQ(task->items.size(), 2U);
}

}  // namespace
}  // namespace bitloom

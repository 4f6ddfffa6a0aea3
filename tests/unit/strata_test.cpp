// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/strata.h"

#include <gtest/gtest.h>

#include "core/paired.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::TinyRun;

std::string repeated(const std::string& words, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += words;
  return text;
}

const std::vector<NamedText> kTexts = {{"prose", repeated("the hen ran ", 40)},
                                       {"code", repeated("xq zj ", 60)},
                                       {"chat", repeated("an in the ", 30)}};
const EvaluateOptions kOptions = {.contextLength = 16, .maxChunks = 0};

TEST(Strata, WindowsOfATextAreThoseOfTheTextAlone) {
  TinyRun run;
  const auto strata = test::take(makeStrata(run.tokenizer(), kTexts, kOptions));
  ASSERT_EQ(strata.strata.size(), 3U);
  uint32_t first = 0;
  for (size_t i = 0; i < 3; ++i) {
    const auto alone = test::take(makeWindows(run.tokenizer(), kTexts[i].text, kOptions, "t"));
    EXPECT_EQ(strata.strata[i].name, kTexts[i].name);
    EXPECT_EQ(strata.strata[i].firstWindow, first);
    EXPECT_EQ(strata.strata[i].windows, alone.count());
    EXPECT_TRUE(std::equal(alone.tokens.begin(), alone.tokens.end(),
                           strata.windows.tokens.begin() + first * 16));
    first += alone.count();
  }
  EXPECT_EQ(strata.windows.count(), first);
}

TEST(Strata, FiguresOfAPartEqualThoseMeasuredAlone) {
  TinyRun run;
  const auto strata = test::take(makeStrata(run.tokenizer(), kTexts, kOptions));
  const Variant coarse = run.with({"blk.0.ffn_up.weight"}, "q4_0");
  const auto whole = test::take(evaluate(coarse, &run.reference(), strata.windows, run.job()));
  const auto parts = byStratum(whole, strata.strata);
  ASSERT_EQ(parts.size(), 3U);
  uint64_t tokens = 0;
  for (size_t i = 0; i < 3; ++i) {
    const auto windows = test::take(makeWindows(run.tokenizer(), kTexts[i].text, kOptions, "t"));
    const auto alone = test::take(evaluate(coarse, &run.reference(), windows, run.job()));
    const Evaluation& part = parts[i].evaluation;
    EXPECT_EQ(parts[i].name, kTexts[i].name);
    EXPECT_EQ(part.tokens, alone.tokens);
    EXPECT_EQ(part.windowKld, alone.windowKld);
    EXPECT_EQ(part.perplexity, alone.perplexity);
    EXPECT_EQ(part.kldP999, alone.kldP999);
    EXPECT_EQ(part.sameTop.mean, alone.sameTop.mean);
    EXPECT_EQ(part.kldInterval.high, alone.kldInterval.high);
    tokens += part.tokens;
  }
  EXPECT_EQ(tokens, whole.tokens);
}

TEST(Strata, SpreadWindowsComeFromTheMiddlesOfEqualStretches) {
  Windows all;
  all.contextLength = 4;
  all.firstScored = 2;
  for (TokenId i = 0; i < 10 * 4; ++i) all.tokens.push_back(i / 4);
  const Windows three = spreadWindows(all, 3);
  ASSERT_EQ(three.count(), 3U);
  EXPECT_EQ(three.firstScored, 2U);
  EXPECT_EQ(three.tokens, (std::vector<TokenId>{1, 1, 1, 1, 5, 5, 5, 5, 8, 8, 8, 8}));
  EXPECT_EQ(spreadWindows(all, 10).tokens, all.tokens);
  EXPECT_EQ(spreadWindows(all, 0).tokens, all.tokens);
  EXPECT_EQ(spreadWindows(all, 99).tokens, all.tokens);

  TinyRun run;
  const EvaluateOptions two = {.contextLength = 16, .maxChunks = 2};
  const auto spread = test::take(makeStrata(run.tokenizer(), kTexts, two, Sampling::Spread));
  const auto first = test::take(makeStrata(run.tokenizer(), kTexts, two));
  EXPECT_EQ(spread.windows.count(), 6U);
  EXPECT_EQ(first.windows.count(), 6U);
  EXPECT_NE(spread.windows.tokens, first.windows.tokens);
}

TEST(Strata, TwoTextsOfOneNameAndShortTextsAreRefusedByName) {
  TinyRun run;
  const std::vector<NamedText> twins = {kTexts[0], kTexts[0]};
  const auto twice = makeStrata(run.tokenizer(), twins, kOptions);
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("\"prose\""), std::string::npos);
  const std::vector<NamedText> small = {kTexts[0], {"chat", "hi"}};
  const auto tooShort = makeStrata(run.tokenizer(), small, kOptions);
  ASSERT_FALSE(tooShort);
  EXPECT_EQ(tooShort.error().message.find("chat: has "), 0U) << tooShort.error().message;
  EXPECT_FALSE(makeStrata(run.tokenizer(), {}, kOptions));
}

StratumResult stratum(const std::string& name, double mean, double half) {
  StratumResult result{name, {}};
  result.evaluation.hasReference = true;
  result.evaluation.kld.mean = mean;
  result.evaluation.kldInterval = {mean - half, mean + half};
  return result;
}

TEST(Strata, TheWorstIsNamedAndItsTies) {
  const std::vector<StratumResult> apart = {stratum("a", 0.1, 0.01), stratum("b", 0.3, 0.05),
                                            stratum("c", 0.2, 0.02)};
  ASSERT_TRUE(worstStratum(apart));
  EXPECT_EQ(worstStratum(apart)->index, 1U);
  EXPECT_FALSE(worstStratum(apart)->tied);
  const std::vector<StratumResult> close = {stratum("b", 0.3, 0.05), stratum("c", 0.28, 0.02)};
  EXPECT_EQ(worstStratum(close)->index, 0U);
  EXPECT_TRUE(worstStratum(close)->tied);
  EXPECT_FALSE(worstStratum(std::span(apart).first(1)));
  std::vector<StratumResult> without = apart;
  without[0].evaluation.hasReference = false;
  EXPECT_FALSE(worstStratum(without));
}

TEST(Paired, FiguresAreThoseOfTheDifferences) {
  Evaluation first, second;
  first.windows = second.windows = 3;
  first.tokens = second.tokens = 30;
  first.hasReference = second.hasReference = true;
  first.windowNll = {2, 3, 4};
  second.windowNll = {2.5, 3.5, 4.5};  // half a nat more in each window: no noise in the pairs
  first.windowKld = {1, 2, 3};
  second.windowKld = {2, 2, 2};
  first.windowSame = {0.5, 0.6, 0.7};
  second.windowSame = {0.4, 0.4, 0.4};
  const PairedComparison paired = comparePaired(first, second);
  EXPECT_NEAR(paired.perplexityRatio.value, std::exp(-0.5), 1e-12);
  EXPECT_NEAR(paired.perplexityRatio.interval.high, std::exp(-0.5), 1e-9);
  EXPECT_FALSE(paired.perplexityRatio.tie);
  EXPECT_DOUBLE_EQ(paired.kldDifference.value, 0);
  EXPECT_TRUE(paired.kldDifference.tie);
  EXPECT_DOUBLE_EQ(paired.kldRatio.value, 1);
  EXPECT_TRUE(paired.kldRatio.tie);
  EXPECT_NEAR(paired.sameTopDifference.value, 0.2, 1e-12);
  EXPECT_NEAR(paired.sameTopDifference.interval.low, 0.2 - 4.302653 * 0.1 / std::sqrt(3.0), 1e-6);
  EXPECT_TRUE(paired.sameTopDifference.tie);  // 0.2 ± 0.248
}

TEST(Paired, WithoutAReferenceOnlyPerplexityIsCompared) {
  TinyRun run;
  const auto strata = test::take(makeStrata(run.tokenizer(), kTexts, kOptions));
  const Variant coarse = run.with({"blk.0.ffn_up.weight"}, "q4_0");
  const auto a = test::take(evaluate(coarse, nullptr, strata.windows, run.job()));
  const auto b = test::take(evaluate(run.reference(), nullptr, strata.windows, run.job()));
  const PairedComparison paired = comparePaired(a, b);
  EXPECT_NEAR(paired.perplexityRatio.value, a.perplexity / b.perplexity, 1e-6);
  EXPECT_TRUE(paired.kldDifference.tie);
}

}  // namespace
}  // namespace bitloom

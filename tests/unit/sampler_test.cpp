// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace bitloom {
namespace {

// Nothing is left out: what is drawn follows the softmax.
SamplerOptions open() {
  SamplerOptions options;
  options.temperature = 1;
  options.topK = 0;
  options.topP = 1;
  options.minP = 0;
  return options;
}

// From as many of the likeliest tokens as the sampler asks for.
TokenId next(Sampler& sampler, const std::vector<float>& logits,
             const std::vector<TokenId>& history) {
  return sampler.next(topLogits(logits, sampler.wanted(logits.size())), history);
}

std::map<TokenId, int> draw(const SamplerOptions& options, const std::vector<float>& logits,
                            int count, const std::vector<TokenId>& history = {}) {
  Sampler sampler(options);
  std::map<TokenId, int> counts;
  for (int i = 0; i < count; ++i) ++counts[next(sampler, logits, history)];
  return counts;
}

std::vector<float> logarithms(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(float(std::log(p)));
  return logits;
}

TEST(Sampler, TemperatureZeroIsGreedyAndTheLowestIdWinsATie) {
  SamplerOptions options;
  options.temperature = 0;
  Sampler sampler(options);
  EXPECT_EQ(next(sampler, std::vector<float>{1, 7, 3, 7}, {}), 1);
  EXPECT_EQ(argMax(std::vector<float>{1, 7, 3, 7}), 1);
}

TEST(Sampler, SameSeedSameTokensOtherSeedOthers) {
  SamplerOptions options = open();
  const std::vector<float> logits(1000, 0.f);
  const auto sequence = [&](uint64_t seed) {
    options.seed = seed;
    Sampler sampler(options);
    std::vector<TokenId> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(next(sampler, logits, {}));
    return ids;
  };
  EXPECT_EQ(sequence(1), sequence(1));
  EXPECT_NE(sequence(1), sequence(2));
}

// splitmix64 from state 42 gives 0xbdd732262feb6e95 first: 0.7415… of 1000 equal chances.
TEST(Sampler, TheFirstDrawOfSeed42IsTheSameOnEveryMachine) {
  SamplerOptions options = open();
  options.seed = 42;
  Sampler sampler(options);
  EXPECT_EQ(next(sampler, std::vector<float>(1000, 0.f), {}), 741);
}

TEST(Sampler, DrawsFollowTheProbabilities) {
  const auto counts = draw(open(), logarithms({0.5, 0.3, 0.2}), 20000);
  EXPECT_NEAR(counts.at(0), 10000, 300);
  EXPECT_NEAR(counts.at(1), 6000, 300);
  EXPECT_NEAR(counts.at(2), 4000, 300);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  SamplerOptions options = open();
  options.temperature = 0.5;  // probabilities squared: 0.8, 0.2
  EXPECT_NEAR(draw(options, logarithms({2. / 3, 1. / 3}), 20000).at(0), 16000, 300);
  options.temperature = 100;
  EXPECT_NEAR(draw(options, logarithms({0.9, 0.1}), 20000).at(0), 10000, 500);
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  SamplerOptions options = open();
  options.topK = 2;
  const auto counts = draw(options, {1, 3, 2, 0}, 500);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_TRUE(counts.contains(1) && counts.contains(2));
}

TEST(Sampler, TopPKeepsTheShortestFrontThatReachesIt) {
  SamplerOptions options = open();
  options.topP = 0.75;
  EXPECT_EQ(draw(options, logarithms({0.1, 0.5, 0.3, 0.1}), 500).size(), 2u);
  options.topP = 0.85;
  EXPECT_EQ(draw(options, logarithms({0.1, 0.5, 0.3, 0.1}), 500).size(), 3u);
  options.topP = 0;
  EXPECT_EQ(draw(options, logarithms({0.1, 0.5, 0.3, 0.1}), 500).size(), 1u);
}

TEST(Sampler, TopPLooksAtTheProbabilitiesBeforeTemperature) {
  SamplerOptions options = open();
  options.topP = 0.75;
  options.temperature = 50;
  EXPECT_EQ(draw(options, logarithms({0.1, 0.5, 0.3, 0.1}), 500).size(), 2u);
}

TEST(Sampler, MinPKeepsWhatIsNotFarBelowTheBest) {
  SamplerOptions options = open();
  options.minP = 0.5;
  EXPECT_EQ(draw(options, logarithms({0.1, 0.5, 0.3, 0.1}), 500).size(), 2u);
}

TEST(Sampler, WantsNoMoreThanItNeeds) {
  SamplerOptions options;
  options.topK = 40;
  EXPECT_EQ(Sampler(options).wanted(1000), 40u);
  EXPECT_EQ(Sampler(options).wanted(10), 10u);
  options.temperature = 0;
  EXPECT_EQ(Sampler(options).wanted(1000), 1u);
  options.repetitionPenalty = 1.1;  // may bring up any
  EXPECT_EQ(Sampler(options).wanted(1000), 1000u);
  EXPECT_EQ(Sampler(open()).wanted(1000), 1000u);
}

TEST(Sampler, PenaltyDividesPositiveAndMultipliesNegativeLogits) {
  SamplerOptions options;
  options.temperature = 0;
  options.repetitionPenalty = 2;
  Sampler sampler(options);
  const std::vector<TokenId> history = {0, 0, 0};
  EXPECT_EQ(next(sampler, std::vector<float>{4, 1.9f}, history), 0);  // 2 once, not 0.5
  EXPECT_EQ(next(sampler, std::vector<float>{4, 2.1f}, history), 1);
  EXPECT_EQ(next(sampler, std::vector<float>{-1, -1.9f}, history), 1);  // −2
  EXPECT_EQ(next(sampler, std::vector<float>{-1, -2.1f}, history), 0);
}

TEST(Sampler, PenaltySeesTheWindowOnlyAndIgnoresStrangeIds) {
  SamplerOptions options;
  options.temperature = 0;
  options.repetitionPenalty = 10;
  options.repetitionWindow = 2;
  Sampler sampler(options);
  const std::vector<float> logits = {4, 3, 2};
  EXPECT_EQ(next(sampler, logits, std::vector<TokenId>{0, 1, 2}), 0);
  EXPECT_EQ(next(sampler, logits, std::vector<TokenId>{2, 0, 1}), 2);
  EXPECT_EQ(next(sampler, logits, std::vector<TokenId>{-1, 999}), 0);
  EXPECT_EQ(next(sampler, logits, {}), 0);
}

TEST(Sampler, WhatIsNoNumberIsNeverChosen) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(argMax(std::vector<float>{nan, -inf, -1, nan}), 2);
  const auto counts = draw(open(), {nan, 0, -inf, 0}, 500);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_TRUE(counts.contains(1) && counts.contains(3));
}

TEST(Sampler, TopTokensAreSoftmaxInOrder) {
  const auto top = topTokens(logarithms({0.1, 0.5, 0.3, 0.1}), 3);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].id, 1);
  EXPECT_EQ(top[1].id, 2);
  EXPECT_EQ(top[2].id, 0);  // a tie: the lower id
  EXPECT_NEAR(top[0].probability, 0.5, 1e-6);
  EXPECT_NEAR(top[2].probability, 0.1, 1e-6);
  EXPECT_EQ(topTokens(std::vector<float>{1, 2}, 5).size(), 2u);
  EXPECT_TRUE(topTokens(std::vector<float>{}, 5).empty());
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace bitloom {
namespace {

TEST(Statistics, EstimateIsMeanAndStandardErrorOfTheMean) {
  const std::vector<double> samples = {1, 2, 3, 6};
  const Estimate value = estimate(samples);
  EXPECT_DOUBLE_EQ(value.mean, 3);
  EXPECT_DOUBLE_EQ(value.error, std::sqrt(14.0 / 3 / 4));  // squares 4 + 1 + 0 + 9
  EXPECT_EQ(value.samples, 4U);
}

TEST(Statistics, OneSampleHasNoError) {
  const std::vector<double> one = {5};
  EXPECT_DOUBLE_EQ(estimate(one).mean, 5);
  EXPECT_TRUE(std::isnan(estimate(one).error));
  EXPECT_TRUE(std::isnan(interval95(estimate(one))));
  EXPECT_TRUE(std::isnan(estimate({}).mean));
}

TEST(Statistics, StudentQuantilesEqualThePrintedTables) {
  EXPECT_NEAR(studentT95(1), 12.7062, 5e-5);
  EXPECT_NEAR(studentT95(2), 4.30265, 5e-6);
  EXPECT_NEAR(studentT95(3), 3.18245, 5e-6);
  EXPECT_NEAR(studentT95(4), 2.77645, 5e-6);
  EXPECT_NEAR(studentT95(7), 2.36462, 5e-6);
  EXPECT_NEAR(studentT95(15), 2.13145, 5e-6);
  EXPECT_NEAR(studentT95(30), 2.04227, 5e-6);
  EXPECT_NEAR(studentT95(120), 1.97993, 5e-6);
  EXPECT_NEAR(studentT95(1'000'000'000), 1.959964, 1e-6);
  EXPECT_TRUE(std::isnan(studentT95(0)));
}

TEST(Statistics, StudentSeriesAndExpansionMeet) {
  const double step = studentT95(300) - studentT95(301);
  EXPECT_GT(step, 0);
  EXPECT_LT(step, 1e-4);
  EXPECT_NEAR(studentT95(299) - studentT95(300), step, 1e-6);
}

TEST(Statistics, IntervalIsErrorTimesStudentsQuantile) {
  const std::vector<double> samples = {1, 3};
  EXPECT_NEAR(interval95(estimate(samples)), 12.7062, 5e-5);  // error is exactly 1
}

TEST(Statistics, ADivergencesIntervalEndsAtZero) {
  const std::vector<double> wide = {0.1, 0.9, 0.2};
  const Interval plain = meanInterval95(wide);
  EXPECT_NEAR(plain.low, 0.4 - 4.302653 * std::sqrt(0.19 / 3), 1e-5);  // squares .09 + .25 + .04
  EXPECT_NEAR(plain.high, 0.4 + 4.302653 * std::sqrt(0.19 / 3), 1e-5);
  EXPECT_EQ(divergenceInterval95(wide).low, 0);
  EXPECT_EQ(divergenceInterval95(wide).high, plain.high);
  const std::vector<double> one = {0.5};
  EXPECT_TRUE(std::isnan(divergenceInterval95(one).low));
}

TEST(Statistics, RatioOfProportionalSamplesIsExact) {
  const std::vector<double> below = {1, 2, 4, 8};
  const std::vector<double> above = {0.5, 1, 2, 4};
  const Ratio ratio = pairedRatio(above, below);
  EXPECT_DOUBLE_EQ(ratio.value, 0.5);
  EXPECT_NEAR(ratio.low, 0.5, 1e-12);
  EXPECT_NEAR(ratio.high, 0.5, 1e-12);
}

TEST(Statistics, RatioIntervalEqualsTheHandComputedOne) {
  const std::vector<double> above = {1, 2, 3};
  const std::vector<double> below = {2, 2, 2};
  const Ratio ratio = pairedRatio(above, below);
  EXPECT_DOUBLE_EQ(ratio.value, 1);
  // Residuals −1, 0, 1: error 1/√3; divided by the mean below, 2.
  const double half = 4.302653 / std::sqrt(3.0) / 2;
  EXPECT_NEAR(ratio.high - ratio.value, half, 1e-5);
  EXPECT_NEAR(ratio.value - ratio.low, half, 1e-5);
}

TEST(Statistics, RatioIntervalCoversTheTruthAsOftenAsItSays) {
  std::mt19937 generator(7);
  std::normal_distribution<double> normal;
  int covered = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> above(16);
    std::vector<double> below(16);
    for (size_t i = 0; i < above.size(); ++i) {
      const double common = normal(generator);
      below[i] = 10 + common + normal(generator);
      above[i] = 7 + common + normal(generator);
    }
    const Ratio ratio = pairedRatio(above, below);
    if (ratio.low <= 0.7 && 0.7 <= ratio.high) ++covered;
  }
  EXPECT_NEAR(double(covered) / kTrials, 0.95, 0.015);
}

TEST(Statistics, PercentileInterpolatesBetweenOrderStatistics) {
  std::vector<double> values = {40, 10, 30, 20};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 10);
  EXPECT_DOUBLE_EQ(percentile(values, 1), 40);
  EXPECT_DOUBLE_EQ(percentile(values, 0.5), 25);
  EXPECT_DOUBLE_EQ(percentile(values, 0.9), 37);
  std::vector<double> none;
  EXPECT_TRUE(std::isnan(percentile(none, 0.5)));
}

TEST(Statistics, RankCorrelationIsThatOfRanksWithTiesShared) {
  const std::vector<double> x = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(rankCorrelation(x, std::vector<double>{10, 200, 201, 1e9}), 1);
  EXPECT_DOUBLE_EQ(rankCorrelation(x, std::vector<double>{4, 3, 2, -1e9}), -1);
  // Ranks 0, 2, 1, 3: 1 − 6·2/(4·15).
  EXPECT_DOUBLE_EQ(rankCorrelation(x, std::vector<double>{1, 3, 2, 4}), 0.8);
  // Ranks 0, 1.5, 1.5, 3: covariance 4.5, variances 5 and 4.5.
  EXPECT_NEAR(rankCorrelation(x, std::vector<double>{1, 2, 2, 4}), 4.5 / std::sqrt(5 * 4.5), 1e-12);
  EXPECT_TRUE(std::isnan(rankCorrelation(x, std::vector<double>{7, 7, 7, 7})));
  EXPECT_TRUE(std::isnan(rankCorrelation({}, {})));
}

TEST(Statistics, DivergenceEqualsTheHandComputedOne) {
  // p = (1/2, 1/2), q = (1/4, 3/4): ½·ln 2 + ½·ln(2/3).
  const std::vector<float> p = {0, 0};
  const std::vector<float> q = {0, float(std::log(3.0))};
  EXPECT_NEAR(klDivergence(p, q), 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-7);
}

TEST(Statistics, DivergenceIgnoresAConstantAndIsZeroOnlyForEqualRows) {
  const std::vector<float> row = {1, -2, 0.5F, 4};
  const std::vector<float> shifted = {9, 6, 8.5F, 12};
  const std::vector<float> changed = {1, -2, 0.5F, 4.001F};
  EXPECT_EQ(klDivergence(row, row), 0);
  EXPECT_NEAR(klDivergence(row, shifted), 0, 1e-15);
  EXPECT_GT(klDivergence(row, changed), 0);
}

TEST(Statistics, SmallDivergenceKeepsItsDigits) {
  // Second order: KL ≈ ½·p(1−p)·ε² for two classes; the plain Σ p·(log p − log q) loses it.
  constexpr double kEpsilon = 1.0 / 65536;
  const std::vector<float> p = {0, 0};
  const std::vector<float> q = {0, float(kEpsilon)};
  EXPECT_NEAR(klDivergence(p, q) / (kEpsilon * kEpsilon / 8), 1, 1e-4);
}

TEST(Statistics, DivergenceKeepsMassThatTheReferenceNeverHad) {
  // The reference gives the second token e^−800, the other one half: KL = ln 2.
  const std::vector<float> p = {0, -800};
  const std::vector<float> q = {0, 0};
  EXPECT_NEAR(klDivergence(p, q), std::log(2.0), 1e-12);
  EXPECT_NEAR(klDivergence(logitRow(p), logitRow(q)), std::log(2.0), 1e-6);
}

TEST(Statistics, UniformLogitsCostTheLogOfTheVocabulary) {
  const std::vector<float> row(1000, 3.5F);
  EXPECT_NEAR(negativeLogLikelihood(row, 17), std::log(1000.0), 1e-12);
  EXPECT_NEAR(logitRow(row).logSum - 3.5, std::log(1000.0), 1e-6);
}

class LogitRows : public testing::TestWithParam<size_t> {};

// Logits as a model gives them: wide, with one row a noisy copy of the other.
TEST_P(LogitRows, FastFormsEqualTheExactOnes) {
  std::mt19937 generator{unsigned(GetParam())};
  std::normal_distribution<float> normal;
  for (float noise : {1e-3F, 0.03F, 0.5F, 4.0F}) {
    std::vector<float> a(GetParam());
    std::vector<float> b(GetParam());
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = 12 + 5 * normal(generator);
      b[i] = a[i] + noise * normal(generator);
    }
    const LogitRow rowA = logitRow(a);
    const LogitRow rowB = logitRow(b);
    const double exact = klDivergence(a, b);
    EXPECT_NEAR(klDivergence(rowA, rowB), exact, 1e-5 * exact + 1e-13) << "noise " << noise;
    EXPECT_NEAR(rowA.logSum - double(a[0]), negativeLogLikelihood(a, 0), 2e-7 * rowA.logSum);
    EXPECT_EQ(rowA.top, uint32_t(std::max_element(a.begin(), a.end()) - a.begin()));
    EXPECT_EQ(klDivergence(rowA, rowA), 0);
  }
}
INSTANTIATE_TEST_SUITE_P(Sizes, LogitRows,
                         testing::Values(1, 2, 15, 16, 17, 255, 256, 257, 4096, 49152),
                         testing::PrintToStringParamName());

TEST(Statistics, EqualLargestLogitsGiveTheLowestIndex) {
  std::vector<float> row(100, 0);
  row[40] = row[70] = 2;
  EXPECT_EQ(logitRow(row).top, 40U);
}

TEST(Statistics, NanLogitsAreNotHidden) {
  std::vector<float> row(100, 0);
  row[33] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(logitRow(row).logSum));
}

}  // namespace
}  // namespace bitloom

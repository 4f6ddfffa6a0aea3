// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/pooling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr size_t kTensors = 40, kCodecs = 8;

// Cells whose true value is sensitivity × error × e^(real · normal), seen with the chance of a mean
// of so many squares.
struct Made {
  Sensitivity cells;
  std::vector<double> truth;
};

Made make(double real, double chance, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> codecs(kCodecs);
  for (double& codec : codecs) codec = 2 * normal(random);
  Made made;
  made.cells.metric = "fisher_sketch";
  for (size_t t = 0; t < kTensors; ++t) {
    const double tensor = -7 + 1.5 * normal(random);
    for (size_t c = 0; c < kCodecs; ++c) {
      const double value = std::exp(tensor + codecs[c] + real * normal(random));
      made.truth.push_back(value);
      Cell cell{.tensor = strCat("t", t), .codec = strCat("c", c), .metric = "fisher_sketch"};
      cell.value = value * std::exp(chance * normal(random));
      cell.error = chance * cell.value;
      cell.samples = {1};
      made.cells.cells.push_back(cell);
    }
  }
  return made;
}

// Root mean square of ln (value ÷ truth).
double deviation(const Made& made, const std::vector<double>& factors) {
  double sum = 0;
  for (size_t i = 0; i < factors.size(); ++i) {
    sum += std::pow(std::log(made.cells.cells[i].value * factors[i] / made.truth[i]), 2);
  }
  return std::sqrt(sum / double(factors.size()));
}

TEST(Pooling, TakesMostOfTheChanceOutOfCellsThatFactorise) {
  const Made made = make(0, 0.15, 1);
  const std::vector<double> raw(made.truth.size(), 1.0);
  EXPECT_NEAR(deviation(made, raw), 0.15, 0.02);
  EXPECT_LT(deviation(made, pooledFactors(made.cells)), 0.08);
}

TEST(Pooling, KeepsWhatIsRealInTheRest) {
  const Made made = make(0.5, 0.05, 2);
  const std::vector<double> factors = pooledFactors(made.cells);
  EXPECT_LT(deviation(made, factors), 0.055);
  for (const double factor : factors) EXPECT_NEAR(factor, 1, 0.1);
}

TEST(Pooling, LeavesOtherMetricsAndSmallTablesAlone) {
  Made made = make(0, 0.15, 3);
  made.cells.metric = "kld";
  for (const double factor : pooledFactors(made.cells)) EXPECT_EQ(factor, 1);
  made.cells.metric = "fisher_sketch";
  made.cells.cells.resize(2 * kCodecs);
  for (const double factor : pooledFactors(made.cells)) EXPECT_EQ(factor, 1);
}

TEST(Pooling, PassesOverCellsThatAreNotPositive) {
  Made made = make(0, 0.15, 4);
  made.cells.cells[5].value = 0;
  made.cells.cells[9].value = std::nan("");
  const std::vector<double> factors = pooledFactors(made.cells);
  EXPECT_EQ(factors[5], 1);
  EXPECT_EQ(factors[9], 1);
  EXPECT_NE(factors[6], 1);
}

}  // namespace
}  // namespace bitloom

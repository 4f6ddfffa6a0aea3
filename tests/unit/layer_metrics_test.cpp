// SPDX-License-Identifier: GPL-3.0-or-later
// Metrics that rate blocks, and those with a closed form to compare with.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/calibration.h"
#include "core/metric.h"
#include "core/metrics/layers/layer_scores.h"
#include "core/prediction.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::take;
using test::TinyRun;

TEST(Spectrum, OfIdentityRankOneAndNothing) {
  Matrix identity(6, 6);
  for (size_t i = 0; i < 6; ++i) identity.row(i)[i] = 3;
  EXPECT_NEAR(spectrumOf(identity, 2).effectiveRank, 6, 1e-9);
  EXPECT_NEAR(spectrumOf(identity, 2).topShare, 2.0 / 6, 1e-9);
  Matrix one(40, 5);
  for (size_t i = 0; i < 40; ++i) {
    for (size_t j = 0; j < 5; ++j) one.row(i)[j] = float(int(i) - 7) * float(j + 1);
  }
  EXPECT_NEAR(spectrumOf(one, 1).effectiveRank, 1, 1e-6);
  EXPECT_NEAR(spectrumOf(one, 1).topShare, 1, 1e-9);
  EXPECT_EQ(spectrumOf(Matrix(4, 3), 1).effectiveRank, 0);
}

TEST(Spectrum, DoesNotSeeScaleOrRotationAndOfATransposeIsTheSame) {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  Matrix matrix(20, 4);
  for (float& value : matrix.values) value = normal(generator);
  const double rank = spectrumOf(matrix, 2).effectiveRank;
  Matrix turned(20, 4);
  Matrix transposed(4, 20);
  for (size_t i = 0; i < 20; ++i) {
    const float* from = matrix.row(i);
    float* to = turned.row(i);
    to[0] = 5 * (0.6f * from[0] + 0.8f * from[2]);
    to[2] = 5 * (0.8f * from[0] - 0.6f * from[2]);
    to[1] = 5 * from[3];
    to[3] = 5 * from[1];
    for (size_t j = 0; j < 4; ++j) transposed.row(j)[i] = from[j];
  }
  EXPECT_NEAR(spectrumOf(turned, 2).effectiveRank, rank, 1e-5);
  EXPECT_NEAR(spectrumOf(transposed, 2).effectiveRank, rank, 1e-9);
  EXPECT_GT(rank, 2);
  EXPECT_LT(rank, 4);
}

struct Cells {
  std::vector<Cell> cells;
  const Cell* find(std::string_view tensor) const {
    for (const Cell& cell : cells) {
      if (cell.tensor == tensor) return &cell;
    }
    return nullptr;
  }
};

Cells measure(TinyRun& run, std::string_view metric, const Calibration* calibration = nullptr) {
  const ProbeOptions layout = {.sequences = 4, .tokens = 12, .firstScored = 4};
  const std::vector<TokenId> tokens = run.randomTokens(48);
  const MetricTask task{.reference = run.reference(),
                        .codecs = {findCodec("q4_0")},
                        .method = findMethod("nearest"),
                        .calibration = calibration,
                        .tokens = tokens,
                        .layout = layout,
                        .known = {}};
  Cells result;
  const auto done = findMetric(metric)->measure(
      task,
      [&](const Cell& cell) -> Result<void> {
        result.cells.push_back(cell);
        return {};
      },
      run.job());
  EXPECT_TRUE(done) << done.error().message;
  return result;
}

TEST(LayerMetrics, TensorsOfOneBlockDifferByTheirWeightErrorAlone) {
  TinyRun run;
  for (const char* metric : {"perplexity_drop", "compactness", "energy_gain"}) {
    const Cells scores = measure(run, metric);
    const Cells errors = measure(run, "weight_error");
    for (int block = 0; block < 2; ++block) {
      const auto scoreOf = [&](const char* role) {
        const std::string name = strCat("blk.", block, ".", role, ".weight");
        return scores.find(name)->value / errors.find(name)->value;
      };
      EXPECT_NEAR(scoreOf("attn_q"), scoreOf("ffn_down"), 1e-9 * scoreOf("attn_q")) << metric;
    }
  }
}

// With H = identity the quadratic form is the plain error of the weights.
TEST(HessianError, OfIndependentEqualInputsIsTheWeightError) {
  TinyRun run;
  Calibration calibration;
  // Twice the identity plus `shared` everywhere.
  const auto setMoments = [&](float shared) {
    for (const Tensor& tensor : run.model()->tensors()) {
      const size_t columns = tensor.rowLength();
      std::vector<float> values(columns * columns, shared);
      for (size_t i = 0; i < columns; ++i) values[i * columns + i] += 2;
      calibration.tensors[tensor.name].moments = Moments::of(columns, values, values);
    }
  };
  setMoments(0);
  const Cells errors = measure(run, "weight_error");
  for (const Cell& cell : measure(run, "hessian_error", &calibration).cells) {
    const double wanted = errors.find(cell.tensor)->value;
    EXPECT_NEAR(cell.value, wanted, 1e-4 * wanted) << cell.tensor;
  }
  // Correlated inputs are another matter.
  setMoments(1);
  const Cell cell = measure(run, "hessian_error", &calibration).cells.front();
  EXPECT_GT(std::fabs(cell.value / errors.find(cell.tensor)->value - 1), 1e-3);
}

TEST(HessianTrace, IsTheSketchOfChangesThatPointNowhereInParticular) {
  TinyRun run;
  double trace = 0, sketch = 0;
  for (const Cell& cell : measure(run, "hessian_trace").cells) trace += cell.value;
  for (const Cell& cell : measure(run, "fisher_sketch").cells) sketch += cell.value;
  EXPECT_GT(trace, 0.3 * sketch);
  EXPECT_LT(trace, 3 * sketch);
}

TEST(HiddenCosine, IsZeroForWhatIsLossless) {
  TinyRun run;
  const ProbeOptions layout = {.sequences = 2, .tokens = 12, .firstScored = 4};
  const std::vector<TokenId> tokens = run.randomTokens(24);
  const MetricTask task{.reference = run.reference(),
                        .codecs = {findCodec("f32"), findCodec("q4_0")},
                        .method = findMethod("nearest"),
                        .tokens = tokens,
                        .layout = layout,
                        .known = {}};
  ASSERT_TRUE(findMetric("hidden_cosine")
                  ->measure(
                      task,
                      [&](const Cell& cell) -> Result<void> {
                        if (cell.codec == "f32") {
                          EXPECT_EQ(cell.value, 0) << cell.tensor;
                        } else {
                          EXPECT_GT(cell.value, 1e-6) << cell.tensor;
                          EXPECT_LT(cell.value, 0.5) << cell.tensor;
                        }
                        return {};
                      },
                      run.job()));
}

// --- correction -------------------------------------------------------------------------------

std::vector<PredictedPlan> plansAlong(double slope, double bend, double scatter, size_t count,
                                      unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> anywhere(-4, 0);
  std::vector<PredictedPlan> plans;
  for (size_t i = 0; i < count; ++i) {
    const double x = anywhere(generator);
    const double y = 0.2 + slope * x + bend * x * x + scatter * normal(generator);
    plans.push_back({std::exp(x), std::exp(y)});
  }
  return plans;
}

TEST(Correction, FollowsTheCurveAndHoldsNineteenOfTwentyNewPlans) {
  size_t held = 0, tried = 0;
  double widths = 0;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    const Correction correction = take(Correction::fit(plansAlong(1.2, 0.05, 0.1, 20, seed)));
    for (const PredictedPlan& plan : plansAlong(1.2, 0.05, 0.1, 50, seed + 1000)) {
      const Correction::Interval interval = correction.apply(plan.predicted);
      if (std::isnan(interval.low)) continue;  // beyond what was tried
      held += plan.measured >= interval.low && plan.measured <= interval.high;
      widths += (interval.high - interval.low) / 2 / interval.value;
      ++tried;
    }
  }
  EXPECT_NEAR(double(held) / double(tried), 0.95, 0.015);
  EXPECT_LT(widths / double(tried), 0.35);
}

TEST(Correction, LearnsWhatDamageCostsThatManyTensorsShare) {
  std::mt19937 generator(5);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> anywhere(-4, 0), shared(0.5, 4);
  const auto plans = [&](size_t count) {
    std::vector<PredictedPlan> result;
    for (size_t i = 0; i < count; ++i) {
      const double x = anywhere(generator), s = shared(generator);
      result.push_back(
          {std::exp(x), std::exp(x + 0.2 * s + 0.03 * normal(generator)), std::exp(s)});
    }
    return result;
  };
  const Correction correction = take(Correction::fit(plans(16)));
  EXPECT_LT(correction.scatter(), 0.06);
  size_t held = 0, tried = 0;
  for (const PredictedPlan& plan : plans(400)) {
    const auto interval = correction.apply(plan.predicted, plan.spread);
    if (std::isnan(interval.low)) continue;
    held += plan.measured >= interval.low && plan.measured <= interval.high;
    ++tried;
  }
  EXPECT_GT(double(held) / double(tried), 0.9);
  // Beyond the spreads that were seen the last one counts.
  EXPECT_EQ(correction.apply(0.1, 1e6).value, correction.apply(0.1, 1e7).value);
}

TEST(Correction, NeverFalls) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    const Correction correction = take(Correction::fit(plansAlong(0.4, -0.3, 0.5, 8, seed)));
    double before = 0;
    for (double x = -8; x < 4; x += 0.1) {
      const double value = correction.apply(std::exp(x)).value;
      EXPECT_GE(value, before * (1 - 1e-12));
      before = value;
    }
  }
}

TEST(Correction, HasNoIntervalAboveWhatWasTriedAndLeavesOutBrokenPlans) {
  auto plans = plansAlong(1, 0, 0.05, 12, 3);
  const Correction whole = take(Correction::fit(plans));
  EXPECT_TRUE(std::isfinite(whole.apply(std::exp(-2)).low));
  EXPECT_TRUE(std::isnan(whole.apply(std::exp(1.5)).low));
  EXPECT_GT(whole.apply(std::exp(1.5)).value, whole.apply(1).value);
  plans.push_back({0.9, 7});
  EXPECT_EQ(take(Correction::fit(plans)).apply(0.5).value, whole.apply(0.5).value);
}

TEST(Correction, RefusesTooFewPlansAndZeros) {
  EXPECT_EQ(
      Correction::fit(plansAlong(1, 0, 0.1, 4, 1)).error().message,
      "A correction of predictions needs 5 measured plans of at most 2 nats per token, not 4.");
  auto plans = plansAlong(1, 0, 0.1, 6, 1);
  plans[3].measured = 0;
  EXPECT_FALSE(Correction::fit(plans));
  // Plans that were all predicted alike give a factor.
  for (PredictedPlan& plan : plans) plan = {0.5, 1};
  plans[0].measured = 1.1;
  const Correction::Interval interval = take(Correction::fit(plans)).apply(0.25);
  EXPECT_NEAR(interval.value, 0.508, 0.001);
  EXPECT_GT(interval.high, interval.value);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/gradient_pass.h"
#include "core/metric.h"
#include "core/prediction.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::take;
using test::TinyRun;

struct SketchScan {
  SketchScan(TinyRun& tiny, const ProbeOptions& options) : run(tiny), layout(options) {
    tokens = tiny.randomTokens(size_t(layout.sequences) * layout.tokens);
  }

  Sensitivity measure(std::vector<const Codec*> codecs,
                      std::function<bool(std::string_view, std::string_view)> known = {}) {
    MetricTask task{.reference = run.reference(),
                    .codecs = std::move(codecs),
                    .method = findMethod("nearest"),
                    .tokens = tokens,
                    .layout = layout,
                    .known = std::move(known)};
    Sensitivity result;
    result.metric = "fisher_sketch";
    const auto done = findMetric("fisher_sketch")
                          ->measure(
                              task,
                              [&](const Cell& cell) -> Result<void> {
                                result.cells.push_back(cell);
                                return {};
                              },
                              run.job());
    EXPECT_TRUE(done) << done.error().message;
    return result;
  }

  TinyRun& run;
  ProbeOptions layout;
  std::vector<TokenId> tokens;
};

// The gradients of one sequence, multiplied out.
std::map<size_t, Matrix> gradientsOf(SketchScan& scan, uint32_t sequence) {
  std::map<size_t, Matrix> sums;
  const GradientVisitor visitor{[&](const WeightFactors& factors) -> Result<void> {
                                  Matrix out = factors.outputGradient;
                                  for (size_t row = 0; row < out.rows; ++row) {
                                    if (factors.sequences[row] != sequence)
                                      std::fill_n(out.row(row), out.cols, 0.0f);
                                  }
                                  const Matrix part = weightGradient(
                                      {factors.op, factors.input, factors.tokens, out},
                                      scan.run.reference().graph(), scan.run.job());
                                  Matrix& sum = sums[size_t(factors.op.weight)];
                                  if (sum.values.empty()) sum = Matrix(part.rows, part.cols);
                                  for (size_t i = 0; i < part.values.size(); ++i)
                                    sum.values[i] += part.values[i];
                                  return {};
                                },
                                [](int) { return Result<void>(); }};
  EXPECT_TRUE(gradientPass(scan.run.reference(), scan.tokens, scan.layout, SampledLoss::ModelLabels,
                           1, visitor, scan.run.job()));
  return sums;
}

TEST(FisherSketch, SamplesAreInnerProductsOfGradientsAndChanges) {
  TinyRun run;
  SketchScan scan(run, {.sequences = 3, .tokens = 12, .firstScored = 4});
  const Sensitivity cells = scan.measure({findCodec("q4_0")});
  const double scored = 8;
  for (uint32_t sequence = 0; sequence < 3; ++sequence) {
    const auto gradients = gradientsOf(scan, sequence);
    for (const Cell& cell : cells.cells) {
      const size_t tensor = run.tensor(cell.tensor);
      const Variant changed = run.with({cell.tensor.c_str()}, "q4_0");
      const auto coded = take(changed.weights(tensor, run.job()));
      const auto exact = take(run.reference().weights(tensor, run.job()));
      const Matrix& gradient = gradients.at(tensor);
      double wanted = 0;
      double size = 0;
      for (size_t i = 0; i < exact->size(); ++i) {
        const double term = double(gradient.values[i]) * (double((*coded)[i]) - (*exact)[i]);
        wanted += term;
        size += std::fabs(term);
      }
      EXPECT_NEAR(double(cell.samples[sequence]), wanted / std::sqrt(2 * scored), 1e-5 * size)
          << cell.tensor;
    }
  }
}

TEST(FisherSketch, ValueIsTheMeanOfSquaresWithItsError) {
  TinyRun run;
  SketchScan scan(run, {.sequences = 5, .tokens = 12, .firstScored = 4});
  for (const Cell& cell : scan.measure({findCodec("q4_0"), findCodec("q8_0")}).cells) {
    std::vector<double> squares;
    for (const float sample : cell.samples) squares.push_back(double(sample) * double(sample));
    ASSERT_EQ(squares.size(), 5u);
    const Estimate wanted = estimate(squares);
    EXPECT_NEAR(cell.value, wanted.mean, 1e-6 * wanted.mean);
    EXPECT_NEAR(cell.error, wanted.error, 1e-5 * wanted.error);
    EXPECT_GT(cell.value, 0);
  }
}

// The expectation over labels is the curvature of KL, so many sequences approach the measurement of
// a small change.
TEST(FisherSketch, ApproachesTheMeasuredDivergenceOfSmallChanges) {
  TinyRun run;
  const ProbeOptions layout = {.sequences = 400, .tokens = 12, .firstScored = 4};
  SketchScan scan(run, layout);
  const Sensitivity cells = scan.measure({findCodec("q8_0")});
  const auto probe = take(LiveLoop::create(run.reference(), scan.tokens, layout, run.job()));
  double worst = 1;
  double sum = 0;
  for (const Cell& cell : cells.cells) {
    const ProbeResult measured = take(probe->measureTensor(
        run.tensor(cell.tensor), *findCodec("q8_0"), *findMethod("nearest"), nullptr, run.job()));
    const double ratio = cell.value / measured.kld.mean;
    worst = std::max({worst, ratio, 1 / ratio});
    sum += std::log(ratio);
  }
  // A mean of 400 squares of normal numbers scatters by √(2/400) = 7 %.
  EXPECT_LT(worst, 1.35);
  EXPECT_NEAR(sum / double(cells.cells.size()), 0, 0.05);

  const Variant all = [&] {
    Variant changed = run.reference().copy();
    for (const Cell& cell : cells.cells) {
      changed.setTensor(run.tensor(cell.tensor), findCodec("q8_0"));
    }
    return changed;
  }();
  const ProbeResult joint = take(probe->measure(all, run.job()));
  Recipe recipe;
  recipe.rules.push_back({"*", "q8_0"});
  const Plan plan = take(resolve(recipe, *run.model()));
  const Prediction predicted = predict(*run.model(), plan, cells);
  EXPECT_NEAR(predicted.value, joint.kld.mean, 0.1 * joint.kld.mean);
  EXPECT_LT(predicted.error, 0.1 * predicted.value);
  double cellSum = 0;
  for (const Cell& cell : cells.cells) cellSum += cell.value;
  EXPECT_NEAR(predicted.value, cellSum, 1e-9 * cellSum);
}

TEST(FisherSketch, KnownCellsAreLeftOutAndTheOthersStayTheSame) {
  TinyRun run;
  SketchScan scan(run, {.sequences = 3, .tokens = 12, .firstScored = 4});
  const auto codecs = {findCodec("q4_0"), findCodec("q8_0")};
  const Sensitivity whole = scan.measure(codecs);
  const Sensitivity rest =
      scan.measure(codecs, [](std::string_view tensor, std::string_view codec) {
        return codec == "q4_0" || tensor.ends_with("attn_q.weight");
      });
  EXPECT_LT(rest.cells.size(), whole.cells.size() / 2);
  EXPECT_GT(rest.cells.size(), 0u);
  for (const Cell& cell : rest.cells) {
    EXPECT_EQ(cell.samples, whole.find(cell.tensor, cell.codec)->samples);
  }
}

TEST(FisherSketch, ThreadsAndBatchesDoNotChangeABit) {
  TinyRun one(test::TinyModelOptions{}, 1);
  TinyRun seven(test::TinyModelOptions{}, 7);
  // More tokens than one batch of a block holds.
  const ProbeOptions layout = {.sequences = 9, .tokens = 600, .firstScored = 590};
  SketchScan left(one, layout);
  SketchScan right(seven, layout);
  const Sensitivity a = left.measure({findCodec("q4_0")});
  const Sensitivity b = right.measure({findCodec("q4_0")});
  ASSERT_EQ(a.cells.size(), b.cells.size());
  for (size_t i = 0; i < a.cells.size(); ++i) {
    EXPECT_EQ(a.cells[i].samples, b.cells[i].samples) << a.cells[i].tensor;
  }
}

TEST(GradientPass, RefusesATextThatDoesNotFit) {
  TinyRun run;
  const auto tokens = run.randomTokens(24);
  const GradientVisitor none{[](const WeightFactors&) { return Result<void>(); },
                             [](int) { return Result<void>(); }};
  const auto done =
      gradientPass(run.reference(), tokens, {.sequences = 3, .tokens = 12, .firstScored = 4},
                   SampledLoss::ModelLabels, 1, none, run.job());
  ASSERT_FALSE(done);
  EXPECT_EQ(
      done.error().message,
      "A text of 24 tokens does not make 3 sequences of 12 tokens that are scored from 4 on.");
}

}  // namespace
}  // namespace bitloom

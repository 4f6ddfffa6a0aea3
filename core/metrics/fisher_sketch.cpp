// SPDX-License-Identifier: GPL-3.0-or-later
// KL divergence to second order: ½·E[⟨∇ log p(ŷ), Ŵ − W⟩²] per token, labels ŷ drawn from the
// model's own predictions, so that the expectation is the Fisher information (Martens, arXiv
// 1412.1193, §5). One pass forward and back gives a sample a_j for each sequence and cell; those of
// several tensors add up, so that a whole plan is predicted from the same numbers.
#include <cmath>

#include "core/metrics/gradients/gradient_cells.h"
#include "core/metrics/gradients/inner_products.h"

namespace bitloom {
namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  const double scored = double(task.layout.tokens) - task.layout.firstScored;
  const GradientMetric metric{.name = "fisher_sketch",
                              .loss = SampledLoss::ModelLabels,
                              .add =
                                  [&](const WeightFactors& factors, OpenTensor& tensor) {
                                    addInnerProducts(factors, tensor.weights, tensor.encoded,
                                                     tensor.samples, job);
                                  },
                              // ½·a² per scored token is the square of a / √(2 · scored tokens).
                              .finish =
                                  [&](const OpenTensor& tensor, size_t candidate, Cell& cell) {
                                    std::vector<double> squares;
                                    for (const double a : tensor.samples[candidate]) {
                                      cell.samples.push_back(float(a / std::sqrt(2 * scored)));
                                      squares.push_back(a * a / (2 * scored));
                                    }
                                    const Estimate value = estimate(squares);
                                    cell.value = value.mean;
                                    cell.error = value.error;
                                  }};
  return measureByGradients(task, metric, sink, job);
}

}  // namespace

extern const Metric metric_fisher_sketch;
const Metric metric_fisher_sketch = {
    .name = "fisher_sketch",
    .title = "Fisher sketch (proxy)",
    .summary =
        "Predicted KL divergence, in nats per token, from gradients: one pass over the text for "
        "all tensors and codecs at once. It ranks cells as the measurement does and predicts "
        "small changes well; large ones come out too small.",
    .unit = "nats per token",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 96, .tokens = 32, .firstScored = 8},
    .quadratic = true,
    .worth = 0.99,
    .measure = measure,
};

}  // namespace bitloom

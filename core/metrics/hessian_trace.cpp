// SPDX-License-Identifier: GPL-3.0-or-later
// HAWQ-V2's Ω = (Tr(H) / n)·‖Ŵ − W‖² (arXiv 1911.03852), with the trace of the Fisher information
// in the place of the Hessian's: Σ_t ‖g_t‖²·‖x_t‖² over tokens of the factors of a linear op's
// gradient, which needs no Hessian-vector products. Halved and per token, so that it has the scale
// of a divergence.
#include <cmath>

#include "core/metrics/gradients/gradient_cells.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

double squaredNorm(const float* row, size_t count) { return cpuKernels().dot(row, row, count); }

double squaredChange(const OpenTensor& tensor, size_t candidate) {
  const Encoded& encoded = tensor.encoded[candidate];
  const size_t width = encoded.rowLength;
  std::vector<float> coded(width);
  double sum = 0;
  for (size_t row = 0; row < tensor.weights->size() / width; ++row) {
    decodeRows(encoded, row, 1, coded.data());
    for (size_t i = 0; i < width; ++i) coded[i] -= (*tensor.weights)[row * width + i];
    sum += squaredNorm(coded.data(), width);
  }
  return sum;
}

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  const double scored =
      double(task.layout.sequences) * (double(task.layout.tokens) - task.layout.firstScored);
  const GradientMetric metric{
      .name = "hessian_trace",
      .loss = SampledLoss::ModelLabels,
      .add =
          [](const WeightFactors& factors, OpenTensor& tensor) {
            const Matrix& out = factors.outputGradient;
            for (size_t t = 0; t < out.rows; ++t) {
              const double in = factors.input == nullptr
                                    ? 1
                                    : squaredNorm(factors.input->row(t), factors.input->cols);
              tensor.trace += squaredNorm(out.row(t), out.cols) * in;
            }
          },
      .finish =
          [&](const OpenTensor& tensor, size_t candidate, Cell& cell) {
            cell.value = 0.5 * tensor.trace / scored / double(tensor.weights->size()) *
                         squaredChange(tensor, candidate);
          }};
  return measureByGradients(task, metric, sink, job);
}

}  // namespace

extern const Metric metric_hessian_trace;
const Metric metric_hessian_trace = {
    .name = "hessian_trace",
    .title = "Hessian trace (proxy)",
    .summary =
        "The weights' squared error times the mean curvature of the loss for this tensor (HAWQ). "
        "It knows how much the model relies on a tensor, but takes all its weights for equally "
        "important.",
    .unit = "nats per token, roughly",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 96, .tokens = 32, .firstScored = 8},
    .worth = 0.93,
    .measure = measure,
};

}  // namespace bitloom

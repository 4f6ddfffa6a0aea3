// SPDX-License-Identifier: GPL-3.0-or-later
// HAWQ-V2's Ω = (Tr(H) / n)·‖Ŵ − W‖² (arXiv 1911.03852), with the trace of the Fisher information
// in the place of the Hessian's: Σ_t ‖g_t‖²·‖x_t‖² over tokens of the factors of a linear op's
// gradient, which needs no Hessian-vector products. Halved and per token, so that it has the scale
// of a divergence.
#include <functional>
#include <numeric>
#include <vector>

#include "core/metrics/gradients/gradient_cells.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

double squaredNorm(const float* row, size_t count) { return cpuKernels().dot(row, row, count); }

// Σ of part(i) for i below `count`, in their order: the same at any thread count.
double sumOf(size_t count, JobContext& job, const std::function<double(size_t)>& part) {
  std::vector<double> parts(count);
  job.parallelFor(count, 16, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) parts[i] = part(i);
  });
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

double squaredChange(const OpenTensor& tensor, size_t candidate, JobContext& job) {
  const Encoded& encoded = tensor.encoded[candidate];
  const size_t width = encoded.rowLength;
  return sumOf(tensor.weights->size() / width, job, [&](size_t row) {
    std::vector<float> coded(width);
    decodeRows(encoded, row, 1, coded.data());
    for (size_t i = 0; i < width; ++i) coded[i] -= (*tensor.weights)[row * width + i];
    return squaredNorm(coded.data(), width);
  });
}

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  const double scored =
      double(task.layout.sequences) * (double(task.layout.tokens) - task.layout.firstScored);
  const GradientMetric metric{
      .name = "hessian_trace",
      .loss = SampledLoss::ModelLabels,
      .add =
          [&](const WeightFactors& factors, OpenTensor& tensor) {
            const Matrix& out = factors.outputGradient;
            tensor.trace += sumOf(out.rows, job, [&](size_t t) {
              const double in = factors.input == nullptr
                                    ? 1
                                    : squaredNorm(factors.input->row(t), factors.input->cols);
              return squaredNorm(out.row(t), out.cols) * in;
            });
          },
      .finish =
          [&](const OpenTensor& tensor, size_t candidate, Cell& cell) {
            cell.value = 0.5 * tensor.trace / scored / double(tensor.weights->size()) *
                         squaredChange(tensor, candidate, job);
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

// SPDX-License-Identifier: GPL-3.0-or-later
// TaCQ's score Σ_ij |Σ_samples |∂L/∂W|·(W − Ŵ)·W|_ij (arXiv 2504.07389), summed over a tensor; L is
// the loss of the text itself. Per scored token.
#include <cmath>

#include "core/metrics/gradients/gradient_cells.h"
#include "core/metrics/gradients/inner_products.h"

namespace bitloom {
namespace {

double score(const OpenTensor& tensor, size_t candidate) {
  const Encoded& encoded = tensor.encoded[candidate];
  const size_t width = encoded.rowLength;
  std::vector<float> coded(width);
  double sum = 0;
  for (size_t row = 0; row < tensor.gradients.rows; ++row) {
    decodeRows(encoded, row, 1, coded.data());
    const float* weights = tensor.weights->data() + row * width;
    for (size_t i = 0; i < width; ++i) {
      const float change = weights[i] - coded[i];
      sum += std::fabs(double(tensor.gradients.row(row)[i] * change * weights[i]));
    }
  }
  return sum;
}

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  const double scored =
      double(task.layout.sequences) * (double(task.layout.tokens) - 1 - task.layout.firstScored);
  const GradientMetric metric{
      .name = "task_circuit",
      .loss = SampledLoss::TextLabels,
      .add =
          [&](const WeightFactors& factors, OpenTensor& tensor) {
            if (tensor.gradients.values.empty()) {
              const size_t width = tensor.encoded.front().rowLength;
              tensor.gradients = Matrix(tensor.weights->size() / width, width);
            }
            addAbsoluteGradients(factors, tensor.gradients, job);
          },
      .finish = [&](const OpenTensor& tensor, size_t candidate,
                    Cell& cell) { cell.value = score(tensor, candidate) / scored; }};
  return measureByGradients(task, metric, sink, job);
}

}  // namespace

extern const Metric metric_task_circuit;
const Metric metric_task_circuit = {
    .name = "task_circuit",
    .title = "Task circuit (proxy)",
    .summary =
        "How strongly the text's own loss pulls at weights that coding moves, and how large they "
        "are (TaCQ). Give it text of the task that matters; it compares tensors for that task.",
    .unit = "score per token",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 32, .tokens = 64, .firstScored = 8},
    .worth = 0.62,
    .measure = measure,
};

}  // namespace bitloom

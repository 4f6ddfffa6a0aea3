// SPDX-License-Identifier: GPL-3.0-or-later
// What a tensor does beyond its own damage when all others are coded alike: |2·mean_j a_j·Σ b_j|
// over the samples of the Fisher sketch, b those of the other tensors at the same codec. The pair
// terms of the quadratic allocators (core/allocators/pairs) are its parts.
#include <cmath>
#include <map>

#include "core/metric.h"

namespace bitloom {

extern const Metric metric_fisher_sketch;

namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  // All cells, known or not: each one's value depends on the others.
  MetricTask whole = task;
  whole.known = {};
  std::vector<Cell> cells;
  TRY(metric_fisher_sketch.measure(
      whole,
      [&](const Cell& cell) -> Result<void> {
        cells.push_back(cell);
        return {};
      },
      job));
  std::map<std::string, std::vector<double>> sums;  // by codec
  for (const Cell& cell : cells) {
    std::vector<double>& sum = sums[cell.codec];
    sum.resize(cell.samples.size());
    for (size_t j = 0; j < sum.size(); ++j) sum[j] += double(cell.samples[j]);
  }
  for (Cell& cell : cells) {
    if (task.known && task.known(cell.tensor, cell.codec)) continue;
    TRY(job.checkpoint());
    const std::vector<double>& sum = sums.at(cell.codec);
    std::vector<double> products;
    for (size_t j = 0; j < sum.size(); ++j) {
      const double own = double(cell.samples[j]);
      products.push_back(2 * own * (sum[j] - own));
    }
    const Estimate value = estimate(products);
    cell.metric = "pair_interaction";
    cell.value = std::fabs(value.mean);
    cell.error = value.error;
    cell.samples.clear();
    TRY(sink(cell));
  }
  return {};
}

}  // namespace

extern const Metric metric_pair_interaction;
const Metric metric_pair_interaction = {
    .name = "pair_interaction",
    .title = "Pair interaction (proxy)",
    .summary =
        "How far a tensor's damage departs from adding up when all the others are coded the same "
        "way. Large values say where sums over tensors are not to be trusted.",
    .unit = "nats per token",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 96, .tokens = 32, .firstScored = 8},
    .worth = 0.65,
    .measure = measure,
};

}  // namespace bitloom

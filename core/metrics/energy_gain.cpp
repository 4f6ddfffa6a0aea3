// SPDX-License-Identifier: GPL-3.0-or-later
// LieQ's top-k energy gain (arXiv 2508.03332): share of the energy of queries, keys and values in
// their eight strongest directions, above that with random weights; mean over heads of a block.
#include "core/metrics/layers/layer_scores.h"

namespace bitloom {
namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  TRY(const auto spectra, projectionSpectra(task, "energy_gain", job));
  std::vector<double> scores;
  for (const std::vector<TwinSpectra>& block : spectra) {
    double sum = 0;
    for (const TwinSpectra& head : block) sum += head.trained.topShare - head.random.topShare;
    scores.push_back(block.empty() ? 0 : sum / double(block.size()));
  }
  return measureLayers(task, "energy_gain", std::move(scores), sink, job);
}

}  // namespace

extern const Metric metric_energy_gain;
const Metric metric_energy_gain = {
    .name = "energy_gain",
    .title = "Energy gain (proxy)",
    .summary =
        "How much of what a block's attention computes lies in few directions, above random "
        "weights (LieQ), times the weight error. It rates whole blocks, in seconds.",
    .unit = "score",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 16, .tokens = 32, .firstScored = 8},
    .worth = 0.38,
    .measure = measure,
};

}  // namespace bitloom

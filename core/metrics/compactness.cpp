// SPDX-License-Identifier: GPL-3.0-or-later
// LieQ's representational compactness (arXiv 2508.03332): Δr = 1 − r(W·h) / r(W̃·h), effective rank
// r of queries, keys and values against that with random weights W̃; mean over heads of a block.
#include "core/metrics/layers/layer_scores.h"

namespace bitloom {
namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  TRY(const auto spectra, projectionSpectra(task, "compactness", job));
  std::vector<double> scores;
  for (const std::vector<TwinSpectra>& block : spectra) {
    double sum = 0;
    for (const TwinSpectra& head : block) {
      if (head.random.effectiveRank > 0) {
        sum += 1 - head.trained.effectiveRank / head.random.effectiveRank;
      }
    }
    scores.push_back(block.empty() ? 0 : sum / double(block.size()));
  }
  return measureLayers(task, "compactness", std::move(scores), sink, job);
}

}  // namespace

extern const Metric metric_compactness;
const Metric metric_compactness = {
    .name = "compactness",
    .title = "Compactness (proxy)",
    .summary =
        "How much training concentrated what a block's attention computes, against random weights "
        "(LieQ), times the weight error. It rates whole blocks, in seconds; tensors of one block "
        "differ by their weight error alone.",
    .unit = "score",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 16, .tokens = 32, .firstScored = 8},
    .worth = 0.61,
    .measure = measure,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Divergence of the model's next-token probabilities when one tensor alone is coded.
#include "core/metric.h"

namespace bitloom {
namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  return measureDivergence(task, "kld", sink, job);
}

}  // namespace

extern const Metric metric_kld;
const Metric metric_kld = {
    .name = "kld",
    .title = "KL divergence (measured)",
    .summary =
        "How much the model's predictions change, in nats per token, when this tensor alone "
        "is coded: one run of the model per cell. Sums over tensors predict a plan well "
        "while they are small; several large ones together do more harm than their sum.",
    .unit = "nats per token",
    .measured = true,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 16, .tokens = 32, .firstScored = 8},
    .worth = 1,
    .measure = measure,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The divergence of `kld` on as many sequences as each cell needs.
#include "core/metric.h"

namespace bitloom {
namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  return measureDivergence(task, "kld_sequential", sink, job);
}

}  // namespace

extern const Metric metric_kld_sequential;
const Metric metric_kld_sequential = {
    .name = "kld_sequential",
    .title = "KL divergence (until sure)",
    .summary =
        "Measured as KL divergence is, on a longer text, but each cell only until its 95 % "
        "interval is within a fifth of its value: steady cells take few sequences, cells that "
        "depend on rare tokens take many, and all come out about equally exact.",
    .unit = "nats per token",
    .measured = true,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 64, .tokens = 64, .firstScored = 16, .tolerance = 0.2},
    .worth = 1,
    .measure = measure,
};

}  // namespace bitloom

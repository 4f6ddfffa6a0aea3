// SPDX-License-Identifier: GPL-3.0-or-later
// Divergence of the model's next-token probabilities when one tensor alone is coded. The error is
// the standard error over the probe's sequences.
#include "core/base/strings.h"
#include "core/metric.h"

namespace bitloom {
namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  if (task.probe == nullptr || task.method == nullptr) {
    return makeError(ErrorCode::InvalidArgument, "kld: needs a probe text and a method.");
  }
  return measureCells(task, "kld", sink, job, [&](const CellKey& cell) -> Result<Estimate> {
    TRY(const ProbeResult result,
        task.probe->measureTensor(cell.tensor, *cell.codec, *task.method, task.calibration, job));
    return result.kld;
  });
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

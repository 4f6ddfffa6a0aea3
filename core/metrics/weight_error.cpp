// SPDX-License-Identifier: GPL-3.0-or-later
// Relative squared error of the weights themselves, ‖W − Ŵ‖² / ‖W‖².
#include "core/metric.h"

namespace bitloom {
namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  return measureCells(task, "weight_error", sink, job,
                      [&](const CellKey& cell) -> Result<Estimate> {
                        TRY(const CodingError error, codingError(task, cell, {}, job));
                        return Estimate{error.relative(), 0, 1};
                      });
}

}  // namespace

extern const Metric metric_weight_error;
const Metric metric_weight_error = {
    .name = "weight_error",
    .title = "Weight error (proxy)",
    .summary =
        "How far the coded weights are from the originals, relative to their size. Takes "
        "seconds and no text, but it does not know how much the model relies on a tensor: "
        "compare codecs with it, not tensors.",
    .unit = "relative squared error",
    .measured = false,
    .needsText = false,
    .needsCalibration = false,
    .worth = 0.63,
    .measure = measure,
};

}  // namespace bitloom

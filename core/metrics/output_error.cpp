// SPDX-License-Identifier: GPL-3.0-or-later
// Relative error of a layer's outputs under inputs with independent columns:
// Σ_ij E[x_j²]·(W − Ŵ)²_ij / Σ_ij E[x_j²]·W²_ij, the diagonal form of tr(ΔHΔᵀ) / tr(WHWᵀ).
// A tensor that no linear op reads (an embedding apart from the head) has no inputs; its columns
// count alike, which is the error of the rows it hands out.
#include "core/base/strings.h"
#include "core/metric.h"

namespace bitloom {
namespace {

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  if (task.calibration == nullptr) {
    return makeError(ErrorCode::InvalidArgument,
                     "output_error: needs calibration statistics and got none.");
  }
  return measureCells(
      task, "output_error", sink, job, [&](const CellKey& cell) -> Result<Estimate> {
        const std::string& name = task.reference.model().tensors()[cell.tensor].name;
        const TensorStatistics* statistics = task.calibration->find(name);
        std::vector<float> columns;
        if (statistics != nullptr) columns = statistics->importance();
        TRY(const CodingError error, codingError(task, cell, columns, job));
        return Estimate{error.relative(), 0, 1};
      });
}

}  // namespace

extern const Metric metric_output_error;
const Metric metric_output_error = {
    .name = "output_error",
    .title = "Output error (proxy)",
    .summary =
        "How far a layer's outputs move, relative to their size, on a calibration text: "
        "columns that see large inputs count more. Closer to what hurts than the weight "
        "error, but it ends at the layer: what later layers make of it is not in it.",
    .unit = "relative squared error",
    .measured = false,
    .needsText = true,
    .needsCalibration = true,
    .worth = 0.78,
    .measure = measure,
};

}  // namespace bitloom

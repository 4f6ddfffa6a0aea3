// SPDX-License-Identifier: GPL-3.0-or-later
// tr(ΔHΔᵀ) / tr(WHWᵀ) with H = E[x·xᵀ]: the relative error of a layer's outputs with all
// correlations of its inputs, of which `output_error` takes the diagonal; what GPTQ minimises
// (arXiv 2210.17323). A tensor that no linear op reads has no inputs; its columns count alike.
#include <algorithm>

#include "core/base/strings.h"
#include "core/metric.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kRows = 32;

// Σ over rows of v·H·vᵀ for the weights' change and the weights themselves.
Result<Estimate> quadraticError(const MetricTask& task, const CellKey& cell, const Moments& moments,
                                JobContext& job) {
  const Tensor& tensor = task.reference.model().tensors()[cell.tensor];
  const size_t width = tensor.rowLength();
  if (moments.columns != width || moments.used.size() != width * width) {
    return makeError(ErrorCode::InvalidArgument, tensor.name, ": the calibration has ",
                     moments.columns, " columns, the tensor ", width, ".");
  }
  Variant changed = task.reference.copy();
  changed.setCalibration(task.calibration);
  changed.setTensor(cell.tensor, cell.codec, task.method);
  TRY(const Encoded encoded, changed.encode(cell.tensor, job));
  TRY(const DecodedWeights weights, task.reference.weights(cell.tensor, job));
  const size_t rows = tensor.rows();
  std::vector<CodingError> parts((rows + kRows - 1) / kRows);
  job.parallelFor(parts.size(), 1, [&](size_t begin, size_t) {
    const size_t first = begin * kRows;
    const size_t count = std::min(kRows, rows - first);
    std::vector<float> vectors(2 * count * width);  // changes, then weights
    decodeRows(encoded, first, count, vectors.data());
    std::copy_n(weights->data() + first * width, count * width, vectors.data() + count * width);
    for (size_t i = 0; i < count * width; ++i) vectors[i] -= vectors[count * width + i];
    std::vector<float> products(vectors.size());
    cpuKernels().gemm({.a = vectors.data(),
                       .aStride = width,
                       .b = moments.used.data(),
                       .bStride = width,
                       .c = products.data(),
                       .cStride = width,
                       .m = 2 * count,
                       .n = width,
                       .k = width});
    for (size_t row = 0; row < 2 * count; ++row) {
      const double sum =
          cpuKernels().dot(vectors.data() + row * width, products.data() + row * width, width);
      (row < count ? parts[begin].squaredError : parts[begin].squaredWeights) += sum;
    }
  });
  CodingError total;
  for (const CodingError& part : parts) {
    total.squaredError += part.squaredError;
    total.squaredWeights += part.squaredWeights;
  }
  return Estimate{total.relative(), 0, 1};
}

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  if (task.calibration == nullptr) {
    return makeError(ErrorCode::InvalidArgument,
                     "hessian_error: needs calibration statistics with moments and got none.");
  }
  return measureCells(
      task, "hessian_error", sink, job, [&](const CellKey& cell) -> Result<Estimate> {
        const std::string& name = task.reference.model().tensors()[cell.tensor].name;
        const TensorStatistics* statistics = task.calibration->find(name);
        if (statistics != nullptr && statistics->moments != nullptr) {
          return quadraticError(task, cell, *statistics->moments, job);
        }
        TRY(const CodingError error, codingError(task, cell, {}, job));
        return Estimate{error.relative(), 0, 1};
      });
}

}  // namespace

extern const Metric metric_hessian_error;
const Metric metric_hessian_error = {
    .name = "hessian_error",
    .title = "Hessian error (proxy)",
    .summary =
        "How far a layer's outputs move, relative to their size, with the correlations of its "
        "inputs: what GPTQ makes small. It ends at the layer: what later layers make of it is not "
        "in it.",
    .unit = "relative squared error",
    .measured = false,
    .needsText = true,
    .needsCalibration = true,
    .worth = 0.82,
    .needsMoments = true,
    .measure = measure,
};

}  // namespace bitloom

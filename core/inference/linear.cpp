// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/linear.h"

#include <algorithm>

#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

// Multiply-adds: enough for one task to be worth handing to a thread, and as many as pass between
// two looks at the job.
constexpr size_t kTaskWork = size_t{1} << 18;
constexpr size_t kSliceWork = size_t{1} << 30;
constexpr size_t kTaskRows = 512;  // of the input: packing a weight is paid once for so many

}  // namespace

Result<void> multiply(const Matrix& input, const LinearTile& tile, Matrix& output,
                      JobContext& job) {
  const CpuKernels& kernels = cpuKernels();
  const size_t taskRows = std::min(input.rows, kTaskRows);
  const size_t panelWork = taskRows * input.cols * kernels.gemmColumns;
  const size_t panels = std::max<size_t>(1, kTaskWork / std::max<size_t>(1, panelWork));
  const size_t columns = panels * kernels.gemmColumns;
  const size_t across = (tile.rows + columns - 1) / columns;
  const size_t down = taskRows == 0 ? 0 : (input.rows + taskRows - 1) / taskRows;
  const size_t slice = std::max<size_t>(1, kSliceWork / std::max<size_t>(1, panels * panelWork));

  const auto runTask = [&](size_t task) {
    const size_t row = task / across * taskRows;
    const size_t column = task % across * columns;
    const GemmArguments product{.a = input.row(row),
                                .aStride = input.cols,
                                .b = tile.weights + column * input.cols,
                                .bStride = input.cols,
                                .c = output.row(row) + tile.firstRow + column,
                                .cStride = output.cols,
                                .m = std::min(taskRows, input.rows - row),
                                .n = std::min(columns, tile.rows - column),
                                .k = input.cols};
    kernels.gemm(product);
    if (tile.bias == nullptr) return;
    for (size_t i = 0; i < product.m; ++i) {
      float* c = product.c + i * product.cStride;
      kernels.add(c, c, tile.bias + tile.firstRow + column, product.n);
    }
  };
  for (size_t first = 0; first < across * down; first += slice) {
    TRY(job.checkpoint());
    job.parallelFor(std::min(slice, across * down - first), 1, [&](size_t begin, size_t end) {
      for (size_t task = begin; task < end; ++task) runTask(first + task);
    });
  }
  return {};
}

}  // namespace bitloom

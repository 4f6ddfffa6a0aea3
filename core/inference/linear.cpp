// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/linear.h"

#include <algorithm>

#include "core/inference/transposed.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

// Multiply-adds: enough for one task to be worth handing to a thread, and as many as pass between
// two looks at the job.
constexpr size_t kTaskWork = size_t{1} << 16;
constexpr size_t kSliceWork = size_t{1} << 30;
constexpr size_t kTaskRows = 512;   // of the input: packing a weight is paid once for so many
constexpr size_t kTileTokens = 24;  // from so many rows on, tiles beat rounded activations
constexpr size_t kFormValues = size_t{1} << 14;  // of one task that prepares an input

// Buffers of a thread, kept for its life: a product is over before a fresh one would be zeroed.
uint8_t* threadScratch(size_t bytes) {
  static thread_local std::vector<uint8_t> scratch;
  if (scratch.size() < bytes) scratch.resize(bytes);
  return scratch.data();
}

// Rows of an input, a multiple of two strips, whose tiles stay in the second cache while the
// weights pass by.
size_t rowsTogether(size_t columns, size_t parts) {
  constexpr size_t kInputBytes = size_t{1} << 20;
  constexpr size_t kTwoStrips = 32;
  const size_t rows = kInputBytes / std::max<size_t>(1, columns * parts * sizeof(uint16_t));
  return std::max<size_t>(256, rows / kTwoStrips * kTwoStrips);
}

// Runs task(0) … task(count − 1), each of `work` multiply-adds, in parallel and in slices between
// which the job is asked.
template <typename Task>
Result<void> runTasks(size_t count, size_t work, JobContext& job, const Task& task) {
  const size_t slice = std::max<size_t>(1, kSliceWork / std::max<size_t>(1, work));
  const size_t grain = std::max<size_t>(1, kTaskWork / std::max<size_t>(1, work));
  for (size_t first = 0; first < count; first += slice) {
    TRY(job.checkpoint());
    job.parallelFor(std::min(slice, count - first), grain, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) task(first + i);
    });
  }
  return {};
}

void addBias(const float* bias, float* out, size_t stride, size_t rows, size_t columns) {
  if (bias == nullptr) return;
  for (size_t i = 0; i < rows; ++i) {
    cpuKernels().add(out + i * stride, out + i * stride, bias, columns);
  }
}

Result<void> multiplyExactly(const Matrix& input, const LinearTile& tile, Matrix& output,
                             JobContext& job) {
  CHECK(tile.base == nullptr);
  const CpuKernels& kernels = cpuKernels();
  const size_t taskRows = std::min(input.rows, kTaskRows);
  const size_t columns = kernels.gemmColumns;
  const size_t across = (tile.rows + columns - 1) / columns;
  const size_t down = taskRows == 0 ? 0 : (input.rows + taskRows - 1) / taskRows;
  return runTasks(across * down, taskRows * input.cols * columns, job, [&](size_t task) {
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
    const float* bias = tile.bias == nullptr ? nullptr : tile.bias + tile.firstRow + column;
    addBias(bias, product.c, product.cStride, product.m, product.n);
  });
}

}  // namespace

void LinearInput::reset() {
  for (Form& form : m_forms) {
    form.parts = 0;
    form.isRotated = form.isRounded = false;
  }
}

const float* LinearInput::floats(const Matrix& input, bool rotated, JobContext& job) {
  if (!rotated) return input.values.data();
  Form& form = m_forms[1];
  if (!form.isRotated) {
    form.rotated.resize(input.values.size());
    const size_t grain = std::max<size_t>(1, kFormValues / input.cols);
    job.parallelFor(input.rows, grain, [&](size_t begin, size_t end) {
      float* to = form.rotated.data() + begin * input.cols;
      std::copy_n(input.row(begin), (end - begin) * input.cols, to);
      cpuKernels().rotateActivations(to, (end - begin) * input.cols);
    });
    form.isRotated = true;
  }
  return form.rotated.data();
}

RoundedActivations LinearInput::rounded(const Matrix& input, bool rotated, JobContext& job) {
  const float* from = floats(input, rotated, job);
  Form& form = m_forms[rotated];
  if (!form.isRounded) {
    form.codes.resize(input.values.size());
    form.scales.resize(input.values.size() / kPanelStep);
    form.sums.resize(input.values.size() / kPanelStep * kPanelSums);
    const size_t grain = std::max<size_t>(1, kFormValues / input.cols);
    job.parallelFor(input.rows, grain, [&](size_t begin, size_t end) {
      const size_t at = begin * input.cols;
      cpuKernels().roundActivations(from + at, (end - begin) * input.cols, &form.codes[at],
                                    &form.scales[at / kPanelStep],
                                    &form.sums[at / kPanelStep * kPanelSums]);
    });
    form.isRounded = true;
  }
  return {.codes = form.codes.data(), .scales = form.scales.data(), .sums = form.sums.data()};
}

const uint8_t* LinearInput::strips(const Matrix& input, bool rotated, size_t parts,
                                   JobContext& job) {
  const float* from = floats(input, rotated, job);
  Form& form = m_forms[rotated];
  if (form.parts != parts) {
    const TileKernels& tiles = *cpuKernels().tiles;
    form.strips.resize(tiles.inputBytes(input.rows, input.cols, parts));
    const size_t stripBytes = tiles.inputBytes(tiles.rows, input.cols, parts);
    job.parallelFor((input.rows + tiles.rows - 1) / tiles.rows, 1, [&](size_t begin, size_t end) {
      const size_t row = begin * tiles.rows;
      tiles.prepare({.strips = form.strips.data() + begin * stripBytes,
                     .a = from + row * input.cols,
                     .aStride = input.cols,
                     .rows = std::min(input.rows, end * tiles.rows) - row,
                     .k = input.cols,
                     .parts = parts});
    });
    form.parts = parts;
  }
  return form.strips.data();
}

Result<void> multiply(const Matrix& input, LinearInput& forms, const LinearTile& tile,
                      Products products, Matrix& output, JobContext& job) {
  const TileKernels* tiles = cpuKernels().tiles;
  if (products == Products::Exact || tiles == nullptr) {
    return multiplyExactly(input, tile, output, job);
  }
  const size_t parts = products == Products::OnePart ? 1 : 2;
  const uint8_t* strips = forms.strips(input, false, parts, job);
  const size_t columns = tiles->columns;
  const size_t scratchBytes = tiles->inputBytes(columns, input.cols, parts);
  const size_t across = (tile.rows + columns - 1) / columns;
  const size_t most = rowsTogether(input.cols, parts);
  const size_t down = (input.rows + most - 1) / most;
  return runTasks(
      across * down, std::min(most, input.rows) * input.cols * columns, job, [&](size_t task) {
        const size_t row = task / across * most;
        const size_t column = task % across * columns;
        const float* base = tile.base == nullptr ? nullptr : tile.base + row * output.cols + column;
        const TileProduct product{.strips = strips + tiles->inputBytes(row, input.cols, parts),
                                  .rows = std::min(most, input.rows - row),
                                  .b = tile.weights + column * input.cols,
                                  .bStride = input.cols,
                                  .c = output.row(row) + tile.firstRow + column,
                                  .cStride = output.cols,
                                  .n = std::min(columns, tile.rows - column),
                                  .k = input.cols,
                                  .parts = parts,
                                  .scratch = threadScratch(scratchBytes),
                                  .base = base,
                                  .baseStride = output.cols};
        tiles->multiply(product);
        const float* bias = tile.bias == nullptr ? nullptr : tile.bias + tile.firstRow + column;
        addBias(bias, product.c, product.cStride, product.rows, product.n);
      });
}

namespace {

Result<void> addTurnedExactly(const Matrix& input, const float* weights, Matrix& output,
                              JobContext& job) {
  constexpr size_t kStrip = 16;
  std::vector<float> turned(output.cols * input.cols);
  job.parallelFor((output.cols + kStrip - 1) / kStrip, 1, [&](size_t begin, size_t end) {
    const size_t column = begin * kStrip;
    transpose(weights + column, output.cols, input.cols,
              std::min(output.cols, end * kStrip) - column, turned.data() + column * input.cols,
              input.cols);
  });
  Matrix product(output.rows, output.cols);
  TRY(multiplyExactly(input, {turned.data(), 0, output.cols}, product, job));
  job.parallelFor(output.rows, 1, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      cpuKernels().add(output.row(row), output.row(row), product.row(row), output.cols);
    }
  });
  return {};
}

}  // namespace

Result<void> addTurned(const Matrix& input, const float* weights, Products products, Matrix& output,
                       JobContext& job) {
  const TileKernels* tiles = cpuKernels().tiles;
  if (products == Products::Exact || tiles == nullptr) {
    return addTurnedExactly(input, weights, output, job);
  }
  const size_t parts = products == Products::OnePart ? 1 : 2;
  LinearInput forms;
  const uint8_t* strips = forms.strips(input, false, parts, job);
  const size_t columns = tiles->columns;
  const size_t scratchBytes = tiles->inputBytes(columns, input.cols, parts);
  const size_t across = (output.cols + columns - 1) / columns;
  const size_t most = rowsTogether(input.cols, parts);
  const size_t down = (input.rows + most - 1) / most;
  return runTasks(across * down, std::min(most, input.rows) * input.cols * columns, job,
                  [&](size_t task) {
                    const size_t row = task / across * most;
                    const size_t column = task % across * columns;
                    tiles->multiply({.strips = strips + tiles->inputBytes(row, input.cols, parts),
                                     .rows = std::min(most, input.rows - row),
                                     .b = weights + column,
                                     .bStride = output.cols,
                                     .c = output.row(row) + column,
                                     .cStride = output.cols,
                                     .n = std::min(columns, output.cols - column),
                                     .k = input.cols,
                                     .parts = parts,
                                     .scratch = threadScratch(scratchBytes),
                                     .base = output.row(row) + column,
                                     .baseStride = output.cols,
                                     .turned = true});
                  });
}

namespace {

// Tasks of several products, one after the other: `tasks` of each count that many.
struct Shares {
  std::vector<size_t> ends;  // of each product's tasks
  size_t productOf(size_t task) const {
    return size_t(std::upper_bound(ends.begin(), ends.end(), task) - ends.begin());
  }
  size_t firstOf(size_t product) const { return product == 0 ? 0 : ends[product - 1]; }
};

Shares shareTasks(std::span<const PackedProduct> products, size_t taskRows) {
  Shares shares;
  size_t end = 0;
  for (const PackedProduct& product : products) {
    end += (product.weights->rows + taskRows - 1) / taskRows;
    shares.ends.push_back(end);
  }
  return shares;
}

// Two panels, expanded to the right tiles of one part.
void multiplyOnTiles(const PackedProduct& task, const uint8_t* strips, size_t rows, size_t column) {
  const TileKernels& tiles = *cpuKernels().tiles;
  const PackedWeights& weights = *task.weights;
  const size_t k = weights.rowLength;
  uint8_t* scratch = threadScratch(tiles.inputBytes(tiles.columns, k, 1));
  const size_t stepBytes = tiles.inputBytes(tiles.rows, 1, 1);
  for (size_t i = 0; i < tiles.columns / kPanelRows; ++i) {
    const size_t panel = std::min(column / kPanelRows + i, weights.panels() - 1);
    weights.panel->expand(weights.at(panel), k, scratch + i * stepBytes);
  }
  const TileProduct product{.strips = strips,
                            .rows = rows,
                            .b = nullptr,
                            .bStride = 0,
                            .c = task.output->values.data() + column,
                            .cStride = task.output->cols,
                            .n = std::min<size_t>(tiles.columns, weights.rows - column),
                            .k = k,
                            .parts = 1,
                            .scratch = scratch};
  tiles.multiply(product);
  addBias(task.bias == nullptr ? nullptr : task.bias + column, product.c, product.cStride, rows,
          product.n);
}

void multiplyPanel(const PackedProduct& task, const RoundedActivations& rounded,
                   const float* floats, size_t tokens, size_t index) {
  const PackedWeights& weights = *task.weights;
  const size_t row = index * kPanelRows;
  const PanelProduct product{.panels = weights.at(index),
                             .panelCount = 1,
                             .input = rounded,
                             .activations = floats,
                             .tokens = tokens,
                             .k = weights.rowLength,
                             .out = task.output->values.data() + row,
                             .outStride = task.output->cols,
                             .rows = std::min<size_t>(kPanelRows, weights.rows - row)};
  weights.panel->multiply(product);
  addBias(task.bias == nullptr ? nullptr : task.bias + row, product.out, product.outStride, tokens,
          product.rows);
}

}  // namespace

Result<void> multiply(const Matrix& input, LinearInput& forms,
                      std::span<const PackedProduct> products, JobContext& job) {
  const TileKernels* tiles = cpuKernels().tiles;
  const bool onTiles = tiles != nullptr && input.rows >= kTileTokens;
  const size_t taskRows = onTiles ? tiles->columns : kPanelRows;
  std::vector<const uint8_t*> strips;
  std::vector<RoundedActivations> rounded;
  std::vector<const float*> floats;
  for (const PackedProduct& product : products) {
    const PanelCodec& panel = *product.weights->panel;
    const bool rotated = panel.rotated;
    strips.push_back(onTiles ? forms.strips(input, rotated, 1, job) : nullptr);
    rounded.push_back(!onTiles && panel.integer ? forms.rounded(input, rotated, job)
                                                : RoundedActivations{});
    floats.push_back(forms.floats(input, rotated, job));
  }
  const Shares shares = shareTasks(products, taskRows);
  const size_t work = input.rows * input.cols * taskRows;
  return runTasks(shares.ends.back(), work, job, [&](size_t task) {
    const size_t i = shares.productOf(task);
    const size_t own = task - shares.firstOf(i);
    if (onTiles) {
      multiplyOnTiles(products[i], strips[i], input.rows, own * taskRows);
    } else {
      multiplyPanel(products[i], rounded[i], floats[i], input.rows, own);
    }
  });
}

}  // namespace bitloom

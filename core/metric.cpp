// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/metric.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/base/spread.h"
#include "core/base/strings.h"
#include "core/recipe.h"

namespace bitloom {
namespace {

constexpr size_t kChunkWeights = size_t{1} << 16;

// Number of the block in "blk.12.attn_q.weight"; kNone for tensors outside the blocks.
int blockOf(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return kNone;
  int block = kNone;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), block);
  return block;
}

// Tensors outside the blocks first (embedding and head weigh most), then blocks spread over depth:
// a scan that is stopped early has seen all of it.
std::vector<size_t> tensorOrder(const Model& model) {
  std::vector<size_t> order;
  for (size_t i = 0; i < model.tensors().size(); ++i) {
    if (isQuantizable(model.tensors()[i])) order.push_back(i);
  }
  const auto rank = [&](size_t tensor) {
    const int block = blockOf(model.tensors()[tensor].name);
    return block == kNone ? int64_t{-1} : int64_t{reversedBits(uint32_t(block))};
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t left, size_t right) { return rank(left) < rank(right); });
  return order;
}

}  // namespace

std::vector<const Metric*> metricsByWorth() {
  std::vector<const Metric*> sorted(metrics().begin(), metrics().end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Metric* a, const Metric* b) { return a->worth > b->worth; });
  return sorted;
}

std::vector<CellKey> scanCells(const Model& model, std::span<const Codec* const> codecs) {
  std::vector<const Codec*> ladder(codecs.begin(), codecs.end());
  std::stable_sort(ladder.begin(), ladder.end(),
                   [](const Codec* left, const Codec* right) { return left->bits < right->bits; });
  const std::vector<size_t> tensors = tensorOrder(model);
  std::vector<CellKey> cells;
  std::set<std::pair<size_t, const Codec*>> seen;
  for (const Codec* requested : ladder) {
    for (size_t tensor : tensors) {
      const Codec* effective = effectiveCodec(requested, model.tensors()[tensor].rowLength());
      if (seen.emplace(tensor, effective).second) cells.push_back({tensor, effective});
    }
  }
  return cells;
}

Result<void> measureCells(const MetricTask& task, std::string_view metric, const CellSink& sink,
                          JobContext& job,
                          const std::function<Result<Estimate>(const CellKey&)>& measureCell) {
  const Model& model = task.reference.model();
  std::vector<CellKey> cells = scanCells(model, task.codecs);
  std::erase_if(cells, [&](const CellKey& key) {
    return task.known && task.known(model.tensors()[key.tensor].name, key.codec->name);
  });
  job.begin(cells.size(), "cells");
  for (const CellKey& key : cells) {
    TRY(job.checkpoint());
    const Tensor& tensor = model.tensors()[key.tensor];
    job.step(strCat(tensor.name, " at ", key.codec->title));
    TRY(const Estimate value, measureCell(key));
    Cell cell;
    cell.tensor = tensor.name;
    cell.codec = key.codec->name;
    cell.metric = metric;
    cell.value = value.mean;
    cell.error = value.error;
    cell.bytes = key.codec->rowBytes(tensor.rowLength()) * tensor.rows();
    TRY(sink(cell));
    job.advance();
  }
  return {};
}

Result<void> measureDivergence(const MetricTask& task, std::string_view metric,
                               const CellSink& sink, JobContext& job) {
  if (task.probe == nullptr || task.method == nullptr) {
    return makeError(ErrorCode::InvalidArgument, metric, ": needs a probe text and a method.");
  }
  return measureCells(task, metric, sink, job, [&](const CellKey& cell) -> Result<Estimate> {
    TRY(const ProbeResult result,
        task.probe->measureTensor(cell.tensor, *cell.codec, *task.method, task.calibration, job));
    return result.kld;
  });
}

double CodingError::relative() const {
  return squaredError == 0 ? 0 : squaredError / squaredWeights;
}

Result<CodingError> codingError(const MetricTask& task, const CellKey& cell,
                                std::span<const float> columns, JobContext& job) {
  const Tensor& tensor = task.reference.model().tensors()[cell.tensor];
  const size_t width = tensor.rowLength();
  if (!columns.empty() && columns.size() != width) {
    return makeError(ErrorCode::InvalidArgument, tensor.name, ": the calibration has ",
                     columns.size(), " columns, the tensor ", width, ".");
  }
  Variant changed = task.reference.copy();
  changed.setCalibration(task.calibration);
  changed.setTensor(cell.tensor, cell.codec, task.method);
  TRY(const Encoded encoded, changed.encode(cell.tensor, job));
  TRY(const DecodedWeights weights, task.reference.weights(cell.tensor, job));

  const size_t rows = tensor.rows();
  const size_t grain = std::max<size_t>(1, kChunkWeights / std::max<size_t>(1, width));
  std::vector<CodingError> parts(rows / grain + 1);  // summed in order: same at any thread count
  job.parallelFor(rows, grain, [&](size_t begin, size_t end) {
    std::vector<float> coded((end - begin) * width);
    decodeRows(encoded, begin, end - begin, coded.data());
    CodingError& part = parts[begin / grain];
    for (size_t row = begin; row < end; ++row) {
      const float* exact = weights->data() + row * width;
      const float* stored = coded.data() + (row - begin) * width;
      for (size_t column = 0; column < width; ++column) {
        const double weight = columns.empty() ? 1 : double(columns[column]);
        const double error = double(exact[column]) - double(stored[column]);
        part.squaredError += weight * error * error;
        part.squaredWeights += weight * double(exact[column]) * double(exact[column]);
      }
    }
  });
  CodingError total;
  for (const CodingError& part : parts) {
    total.squaredError += part.squaredError;
    total.squaredWeights += part.squaredWeights;
  }
  return total;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// GPTQ (arXiv 2210.17323): columns are rounded one after the other, and those that are not rounded
// yet take up the error, optimally for the squared output error tr(Δ·H·Δᵀ), H = E[x·xᵀ]; then codes
// and scales descend on the same error (gptq/rounder.h). It works in the basis in which the codec's
// codes live, with H brought there.
//
// What is best on the calibration text may be worse elsewhere. So the tensor is judged by moments
// of text that was kept apart: unless it is better there than round to nearest, the better of that
// and of the importance-weighted search is taken.
#include <algorithm>
#include <cmath>

#include "core/calibration.h"
#include "core/methods/gptq/rounder.h"
#include "core/methods/nearest/encode_rows.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr int kSweeps = 1;
constexpr size_t kRowsOfTask = 32;
constexpr size_t kRowsOfLoss = 64;
constexpr size_t kRowsJudged = 2048;  // of a tensor, evenly spread

Result<Encoded> roundRows(const QuantizeTask& task, std::span<const float> h,
                          std::span<const float> upper, JobContext& job) {
  const size_t n = task.source.rowLength();
  const size_t rowBytes = task.codec.rowBytes(n);
  Encoded encoded{&task.codec, n, {}};
  encoded.bytes.resize(rowBytes * task.source.rows());
  const size_t wave = kRowsOfTask * size_t(job.workers().threads());
  for (size_t first = 0; first < task.source.rows(); first += wave) {
    TRY(job.checkpoint());
    const size_t count = std::min<size_t>(wave, task.source.rows() - first);
    job.parallelFor(count, kRowsOfTask, [&](size_t begin, size_t end) {
      gptq::Rounder rounder(task.codec, h, upper, n);
      std::vector<float> rows((end - begin) * n);
      decodeRows(task.source, first + begin, end - begin, rows.data());
      for (size_t r = 0; r < end - begin; ++r)
        gptq::toBasis(*task.codec.grid, std::span(rows).subspan(r * n, n));
      rounder.begin(rows);
      rounder.roundInTurn();
      rounder.descend(kSweeps);
      rounder.pack(
          std::span(encoded.bytes).subspan((first + begin) * rowBytes, (end - begin) * rowBytes));
    });
  }
  return encoded;
}

// tr(Δ·H·Δᵀ) over the judged rows, Δ what is stored less what it stands for.
Result<double> lossOf(const Tensor& source, const Encoded& encoded, std::span<const float> moments,
                      JobContext& job) {
  const size_t n = source.rowLength();
  const size_t step = (source.rows() + kRowsJudged - 1) / kRowsJudged;
  const size_t judged = (source.rows() + step - 1) / step;
  const size_t tasks = (judged + kRowsOfLoss - 1) / kRowsOfLoss;
  std::vector<double> losses(tasks);
  TRY(job.checkpoint());
  job.parallelFor(tasks, 1, [&](size_t begin, size_t end) {
    std::vector<float> errors(kRowsOfLoss * n), products(kRowsOfLoss * n);
    for (size_t task = begin; task < end; ++task) {
      const size_t first = task * kRowsOfLoss;
      const size_t count = std::min<size_t>(kRowsOfLoss, judged - first);
      for (size_t r = 0; r < count; ++r) {
        decodeRows(source, (first + r) * step, 1, &products[r * n]);
        decodeRows(encoded, (first + r) * step, 1, &errors[r * n]);
      }
      for (size_t i = 0; i < count * n; ++i) errors[i] -= products[i];
      cpuKernels().gemm({.a = errors.data(),
                         .aStride = n,
                         .b = moments.data(),
                         .bStride = n,
                         .c = products.data(),
                         .cStride = n,
                         .m = count,
                         .n = n,
                         .k = n});
      for (size_t i = 0; i < count * n; ++i)
        losses[task] += double(errors[i]) * double(products[i]);
    }
  });
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum;
}

// Empty when the moments have no factor.
Result<std::optional<Encoded>> roundByMoments(const QuantizeTask& task,
                                              std::span<const float> moments, JobContext& job) {
  const size_t n = task.source.rowLength();
  std::vector<float> h = gptq::inBasis(*task.codec.grid, moments, n, job);
  TRY(const auto factor, gptq::inverseFactor(h, n, job));
  if (!factor) return std::optional<Encoded>();
  for (size_t i = 0; i < n; ++i) h[i * n + i] += float(factor->damping);
  TRY(Encoded encoded, roundRows(task, h, factor->upper, job));
  return std::optional(std::move(encoded));
}

Result<void> checkFinite(const Tensor& source, const Moments& moments) {
  for (const std::span<const float> matrix : {moments.used, moments.held}) {
    for (size_t i = 0; i < matrix.size(); ++i) {
      if (std::isfinite(matrix[i])) continue;
      return makeError(ErrorCode::Corrupt, source.name, ": the calibration's moment of columns ",
                       i / moments.columns, " and ", i % moments.columns, " is ", matrix[i], ".");
    }
  }
  return {};
}

Result<Encoded> quantize(const QuantizeTask& task, JobContext& job) {
  const Tensor& source = task.source;
  if (task.statistics == nullptr && isEmbedding(source)) return encodeRows(task, {}, job);
  if (task.statistics == nullptr || task.statistics->moments == nullptr) {
    return makeError(ErrorCode::InvalidArgument, source.name,
                     ": method gptq needs a calibration with moments, and the calibration has none "
                     "for this tensor.");
  }
  const Moments& moments = *task.statistics->moments;
  const size_t n = source.rowLength();
  if (moments.columns != n) {
    return makeError(ErrorCode::InvalidArgument, source.name, ": the calibration has ",
                     moments.columns, " columns, but the tensor's rows have ", n, ".");
  }
  TRY(checkFinite(source, moments));
  TRY(Encoded nearest, encodeRows(task, {}, job));
  TRY(const double plain, lossOf(source, nearest, moments.held, job));
  if (task.codec.grid != nullptr) {
    TRY(const auto rounded, roundByMoments(task, moments.used, job));
    if (rounded) {
      TRY(const double loss, lossOf(source, *rounded, moments.held, job));
      if (loss < plain) return *rounded;
    }
  }
  TRY(Encoded weighted, encodeRows(task, task.statistics->importance(), job));
  TRY(const double loss, lossOf(source, weighted, moments.held, job));
  return loss < plain ? std::move(weighted) : std::move(nearest);
}

}  // namespace

extern const Method method_gptq;
const Method method_gptq{
    "gptq",
    "Each column's rounding error is taken up by the columns after it; kept where it helps on text "
    "that was held out.",
    true, quantize, true};

}  // namespace bitloom

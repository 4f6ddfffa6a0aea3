// SPDX-License-Identifier: GPL-3.0-or-later
// GPTQ (arXiv 2210.17323): columns are rounded one after the other, and those that are not rounded
// yet take up the error, optimally for the squared output error tr(Δ·H·Δᵀ), H = E[x·xᵀ]. It works
// in the basis in which the codec's codes live, with H brought there; a block's scales are chosen
// from the weights as they are when its turn comes; values that are rounded together pass on their
// error together.
//
// What is best on the calibration text may be worse elsewhere. So the tensor is judged by moments
// of text that was kept apart, beside round to nearest and the importance-weighted search, and the
// best of the three is taken.
#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <optional>

#include "core/calibration.h"
#include "core/methods/nearest/encode_rows.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr double kDamping = 0.05;  // of the mean of the diagonal
constexpr int kDampingTries = 4;   // each ten times the one before
constexpr size_t kRowsOfTask = 4;
constexpr size_t kRowsOfLoss = 64;

using Square = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Whole blocks in place; a shorter last one is padded with zeros.
void toBasis(const Grid& grid, std::span<float> row) {
  if (grid.toBasis == nullptr) return;
  std::vector<float> block(grid.block);
  for (size_t at = 0; at < row.size(); at += grid.block) {
    const std::span<float> part = row.subspan(at, std::min(grid.block, row.size() - at));
    std::fill(std::copy(part.begin(), part.end(), block.begin()), block.end(), 0.0f);
    grid.toBasis(block.data());
    std::copy_n(block.begin(), part.size(), part.begin());
  }
}

// T·H·Tᵀ for the basis T.
Square inBasis(const Grid& grid, std::span<const float> moments, size_t n) {
  Square h = Eigen::Map<const Square>(moments.data(), Eigen::Index(n), Eigen::Index(n));
  for (int side = 0; side < 2 && grid.toBasis != nullptr; ++side) {
    for (size_t row = 0; row < n; ++row) toBasis(grid, {h.data() + row * n, n});
    h.transposeInPlace();
  }
  return h;
}

// The upper triangle U of H⁻¹ = UᵀU, with as much added to the diagonal as it needs to exist. With
// the order of columns reversed H = LLᵀ, and U is L⁻¹ in the order as it was.
std::optional<Square> inverseFactor(const Square& h) {
  Eigen::MatrixXd reversed = h.cast<double>().reverse();
  const double mean = reversed.diagonal().mean();
  double damping = mean > 0 ? kDamping * mean : 1.0;
  for (int attempt = 0; attempt < kDampingTries; ++attempt, damping *= 10) {
    Eigen::MatrixXd damped = reversed;
    damped.diagonal().array() += damping;
    const Eigen::LLT<Eigen::MatrixXd> factor(damped);
    if (factor.info() != Eigen::Success) continue;
    const Eigen::MatrixXd inverse =
        factor.matrixL().solve(Eigen::MatrixXd::Identity(damped.rows(), damped.cols()));
    if (!inverse.allFinite()) continue;
    return Square(inverse.reverse().cast<float>());
  }
  return std::nullopt;
}

struct Rounder {
  const Codec& codec;
  const Square& factor;
  std::vector<float> importances;  // of columns, where codes live in the columns' own basis
  std::vector<float> parameters;
  std::vector<uint8_t> codes;
  std::vector<float> errors;

  Rounder(const Codec& c, const Square& u, const Square& h)
      : codec(c),
        factor(u),
        parameters(c.grid->parameters),
        codes(c.grid->block),
        errors(c.grid->vector) {
    if (c.grid->toBasis != nullptr) return;
    const Eigen::VectorXf diagonal = h.diagonal().cwiseMax(0.0f);
    if (diagonal.maxCoeff() > 0) importances.assign(diagonal.begin(), diagonal.end());
  }

  // Columns from `first` on are moved by what rounding `count` columns before it cost: e·U_cc =
  // error, row ← row − e·U_c,rest.
  void passOn(std::span<float> row, size_t column, size_t count) {
    const size_t n = row.size();
    for (size_t i = 0; i < count; ++i) {
      const float* u = factor.data() + (column + i) * n;
      const float e = errors[i] / u[column + i];
      for (size_t k = i + 1; k < count; ++k) errors[k] -= e * u[column + k];
      for (size_t j = column + count; j < n; ++j) row[j] -= e * u[j];
    }
  }

  // `row` is in the basis; it is used up.
  void round(std::span<float> row, std::span<std::byte> bytes) {
    const Grid& grid = *codec.grid;
    std::vector<float> rounded(grid.vector);
    for (size_t at = 0; at < row.size(); at += grid.block) {
      const size_t count = std::min(grid.block, row.size() - at);
      const std::span<const float> weights = importances.empty()
                                                 ? std::span<const float>()
                                                 : std::span(importances).subspan(at, count);
      grid.fit(row.subspan(at, count), weights, parameters);
      for (size_t i = 0; i < count; i += grid.vector) {
        grid.round(&row[at + i], i, parameters, &codes[i], rounded.data());
        for (size_t k = 0; k < grid.vector; ++k) errors[k] = row[at + i + k] - rounded[k];
        passOn(row, at + i, grid.vector);
      }
      const size_t begin = codec.rowBytes(at), end = codec.rowBytes(at + count);
      grid.pack(parameters, std::span(codes).first(count), bytes.subspan(begin, end - begin));
    }
  }
};

Result<Encoded> roundInTurn(const QuantizeTask& task, const Square& h, const Square& factor,
                            JobContext& job) {
  const size_t n = task.source.rowLength();
  const size_t rowBytes = task.codec.rowBytes(n);
  Encoded encoded{&task.codec, n, {}};
  encoded.bytes.resize(rowBytes * task.source.rows());
  const size_t wave = kRowsOfTask * size_t(job.workers().threads());
  for (size_t first = 0; first < task.source.rows(); first += wave) {
    TRY(job.checkpoint());
    const size_t count = std::min<size_t>(wave, task.source.rows() - first);
    job.parallelFor(count, kRowsOfTask, [&](size_t begin, size_t end) {
      Rounder rounder(task.codec, factor, h);
      std::vector<float> row(n);
      for (size_t r = first + begin; r < first + end; ++r) {
        decodeRows(task.source, r, 1, row.data());
        toBasis(*task.codec.grid, row);
        rounder.round(row, std::span(encoded.bytes).subspan(r * rowBytes, rowBytes));
      }
    });
  }
  return encoded;
}

// tr(Δ·H·Δᵀ), Δ what is stored less what it stands for.
Result<double> lossOf(const Tensor& source, const Encoded& encoded, std::span<const float> moments,
                      JobContext& job) {
  const size_t n = source.rowLength();
  const size_t tasks = (source.rows() + kRowsOfLoss - 1) / kRowsOfLoss;
  std::vector<double> losses(tasks);
  TRY(job.checkpoint());
  job.parallelFor(tasks, 1, [&](size_t begin, size_t end) {
    std::vector<float> errors(kRowsOfLoss * n), products(kRowsOfLoss * n);
    for (size_t task = begin; task < end; ++task) {
      const size_t first = task * kRowsOfLoss;
      const size_t count = std::min<size_t>(kRowsOfLoss, source.rows() - first);
      decodeRows(source, first, count, products.data());
      decodeRows(encoded, first, count, errors.data());
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
  TRY(Encoded best, encodeRows(task, {}, job));
  TRY(double least, lossOf(source, best, moments.held, job));
  const auto compete = [&](Encoded candidate) -> Result<void> {
    TRY(const double loss, lossOf(source, candidate, moments.held, job));
    if (!(loss < least)) return {};
    least = loss;
    best = std::move(candidate);
    return {};
  };
  TRY(Encoded weighted, encodeRows(task, task.statistics->importance(), job));
  TRY(compete(std::move(weighted)));
  if (task.codec.grid == nullptr) return best;
  const Square h = inBasis(*task.codec.grid, moments.used, n);
  const std::optional<Square> factor = inverseFactor(h);
  if (!factor) return best;
  TRY(Encoded rounded, roundInTurn(task, h, *factor, job));
  TRY(compete(std::move(rounded)));
  return best;
}

}  // namespace

extern const Method method_gptq;
const Method method_gptq{
    "gptq",
    "Each column's rounding error is taken up by the columns after it; kept where it helps on text "
    "that was held out.",
    true, quantize};

}  // namespace bitloom

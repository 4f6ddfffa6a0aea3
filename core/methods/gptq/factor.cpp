// SPDX-License-Identifier: GPL-3.0-or-later
// With the order of columns reversed, H = LLᵀ, and U is L⁻¹ in the order as it was. Both steps are
// done in one square of doubles: above the diagonal Lᵀ row by row, below it L⁻¹; panels of rows are
// finished one by one, and what they mean for later rows is subtracted by all threads.
#include "core/methods/gptq/factor.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/elimination.h"

namespace bitloom::gptq {
namespace {

constexpr double kDamping = 0.05;  // of the mean of the diagonal
constexpr int kDampingTries = 4;   // each ten times the one before
constexpr size_t kPanel = 64;
constexpr size_t kRowsOfTask = 16;

// Rows [begin, end) of Lᵀ, when all earlier ones are subtracted. False: not positive definite.
bool factorPanel(std::vector<double>& a, size_t n, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    double* row = &a[i * n + i];
    eliminate(Elimination<double>{.rows = row,
                                  .rowStride = n,
                                  .rowCount = 1,
                                  .factors = &a[begin * n + i],
                                  .factorRowStride = 0,
                                  .factorStride = n,
                                  .pivots = &a[begin * n + i],
                                  .pivotStride = n,
                                  .pivotCount = i - begin,
                                  .columns = n - i});
    if (!(*row > 0) || !std::isfinite(*row)) return false;
    const double root = std::sqrt(*row);
    for (size_t j = 0; j < n - i; ++j) row[j] /= root;
  }
  return true;
}

// The upper triangle of `a` becomes Lᵀ.
Result<bool> factorize(std::vector<double>& a, size_t n, JobContext& job) {
  for (size_t begin = 0; begin < n; begin += kPanel) {
    TRY(job.checkpoint());
    const size_t end = std::min(n, begin + kPanel);
    if (!factorPanel(a, n, begin, end)) return false;
    job.parallelFor(n - end, kRowsOfTask, [&](size_t first, size_t last) {
      const size_t row = end + first;
      eliminate(Elimination<double>{.rows = &a[row * n + row],
                                    .rowStride = n,
                                    .rowCount = last - first,
                                    .factors = &a[begin * n + row],
                                    .factorRowStride = 1,
                                    .factorStride = n,
                                    .pivots = &a[begin * n + row],
                                    .pivotStride = n,
                                    .pivotCount = end - begin,
                                    .columns = n - row});
    });
  }
  return true;
}

// Rows [begin, end) of L⁻¹ left of the panel's own square, in place, and that square, whose upper
// half is zero, apart: above the diagonal `a` has Lᵀ.
void invertPanel(std::vector<double>& a, size_t n, size_t begin, size_t end,
                 std::vector<double>& square) {
  square.assign(kPanel * kPanel, 0.0);
  for (size_t i = begin; i < end; ++i) {
    Elimination<double> task{.rows = &a[i * n],
                             .rowStride = n,
                             .rowCount = 1,
                             .factors = &a[begin * n + i],
                             .factorRowStride = 0,
                             .factorStride = n,
                             .pivots = &a[begin * n],
                             .pivotStride = n,
                             .pivotCount = i - begin,
                             .columns = begin};
    eliminate(task);
    double* own = &square[(i - begin) * kPanel];
    task.rows = own;
    task.pivots = square.data();
    task.pivotStride = kPanel;
    task.columns = i - begin;
    eliminate(task);
    const double diagonal = a[i * n + i];
    for (size_t j = 0; j < begin; ++j) a[i * n + j] /= diagonal;
    for (size_t j = 0; j < i - begin; ++j) own[j] /= diagonal;
    own[i - begin] = 1 / diagonal;
  }
}

// The lower triangle of `a`, diagonal included, becomes L⁻¹.
Result<void> invert(std::vector<double>& a, size_t n, JobContext& job) {
  for (size_t i = 0; i < n; ++i) std::fill_n(&a[i * n], i, 0.0);
  std::vector<double> square;
  for (size_t begin = 0; begin < n; begin += kPanel) {
    TRY(job.checkpoint());
    const size_t end = std::min(n, begin + kPanel);
    invertPanel(a, n, begin, end, square);
    job.parallelFor(n - end, kRowsOfTask, [&](size_t first, size_t last) {
      const size_t row = end + first;
      Elimination<double> task{.rows = &a[row * n],
                               .rowStride = n,
                               .rowCount = last - first,
                               .factors = &a[begin * n + row],
                               .factorRowStride = 1,
                               .factorStride = n,
                               .pivots = &a[begin * n],
                               .pivotStride = n,
                               .pivotCount = end - begin,
                               .columns = begin};
      eliminate(task);
      task.rows += begin;
      task.pivots = square.data();
      task.pivotStride = kPanel;
      task.columns = end - begin;
      eliminate(task);
    });
    for (size_t i = begin; i < end; ++i)
      std::copy_n(&square[(i - begin) * kPanel], i - begin + 1, &a[i * n + begin]);
  }
  return {};
}

}  // namespace

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

std::vector<float> inBasis(const Grid& grid, std::span<const float> moments, size_t n,
                           JobContext& job) {
  std::vector<float> h(moments.begin(), moments.end());
  if (grid.toBasis == nullptr) return h;
  for (int side = 0; side < 2; ++side) {
    job.parallelFor(n, kRowsOfTask, [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) toBasis(grid, {&h[row * n], n});
    });
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < i; ++j) std::swap(h[i * n + j], h[j * n + i]);
    }
  }
  return h;
}

Result<std::optional<Factor>> inverseFactor(std::span<const float> h, size_t n, JobContext& job) {
  double mean = 0;
  for (size_t i = 0; i < n; ++i) mean += double(h[i * n + i]) / double(n);
  Factor factor{.damping = mean > 0 ? kDamping * mean : 1.0, .upper = {}};
  std::vector<double> a(n * n);
  for (int attempt = 0; attempt < kDampingTries; ++attempt, factor.damping *= 10) {
    std::copy(h.rbegin(), h.rend(), a.begin());
    for (size_t i = 0; i < n; ++i) a[i * n + i] += factor.damping;
    TRY(const bool exists, factorize(a, n, job));
    if (!exists) continue;
    TRY(invert(a, n, job));
    factor.upper.resize(n * n);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i; j < n; ++j)
        factor.upper[i * n + j] = float(a[(n - 1 - i) * n + (n - 1 - j)]);
    }
    return std::optional(std::move(factor));
  }
  return std::optional<Factor>();
}

}  // namespace bitloom::gptq

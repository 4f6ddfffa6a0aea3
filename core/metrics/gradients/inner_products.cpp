// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/metrics/gradients/inner_products.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/inference/transposed.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kTileRows = 32;                  // of a weight
constexpr size_t kChangeBytes = size_t{1} << 20;  // of all codecs: they stay in the second cache
constexpr size_t kStrip = 16;

// Rows of factors that belong to one sequence.
struct Run {
  uint32_t sequence;
  size_t first;
  size_t count;
};

std::vector<Run> runsOf(const std::vector<uint32_t>& sequences) {
  std::vector<Run> runs;
  for (size_t row = 0; row < sequences.size(); ++row) {
    if (runs.empty() || runs.back().sequence != sequences[row]) {
      runs.push_back({sequences[row], row, 0});
    }
    ++runs.back().count;
  }
  return runs;
}

std::vector<float> transposed(const Matrix& matrix, JobContext& job) {
  std::vector<float> result(matrix.values.size());
  job.parallelFor((matrix.cols + kStrip - 1) / kStrip, 1, [&](size_t begin, size_t end) {
    const size_t column = begin * kStrip;
    transpose(matrix.row(0) + column, matrix.cols, matrix.rows,
              std::min(matrix.cols, end * kStrip) - column, result.data() + column * matrix.rows,
              matrix.rows);
  });
  return result;
}

// Change of rows [first, first + count) by each candidate, one after the other.
std::vector<float> changesOf(const std::vector<Encoded>& encoded, const float* weights,
                             size_t width, size_t first, size_t count) {
  std::vector<float> changes(encoded.size() * count * width);
  for (size_t i = 0; i < encoded.size(); ++i) {
    float* change = changes.data() + i * count * width;
    decodeRows(encoded[i], first, count, change);
    for (size_t j = 0; j < count * width; ++j) change[j] -= weights[first * width + j];
  }
  return changes;
}

// Adds parts[part][run][candidate] in the order of parts.
void addParts(const std::vector<std::vector<double>>& parts, const std::vector<Run>& runs,
              std::vector<std::vector<double>>& samples) {
  for (const std::vector<double>& part : parts) {
    for (size_t i = 0; i < samples.size(); ++i) {
      for (size_t r = 0; r < runs.size(); ++r) {
        samples[i][runs[r].sequence] += part[r * samples.size() + i];
      }
    }
  }
}

// gradient[rows × in] of one sequence: rows [row, row + rows) of Σ_t outputGradient·inputᵀ.
void multiplyOut(const std::vector<float>& inputs, const std::vector<float>& outputs,
                 const Matrix& in, const Matrix& out, const Run& run, size_t row, size_t rows,
                 std::vector<float>& gradient) {
  cpuKernels().gemm({.a = outputs.data() + row * out.rows + run.first,
                     .aStride = out.rows,
                     .b = inputs.data() + run.first,
                     .bStride = in.rows,
                     .c = gradient.data(),
                     .cStride = in.cols,
                     .m = rows,
                     .n = in.cols,
                     .k = run.count});
}

void addLinear(const WeightFactors& factors, const float* weights,
               const std::vector<Encoded>& encoded, std::vector<std::vector<double>>& samples,
               JobContext& job) {
  const Matrix& in = *factors.input;
  const Matrix& out = factors.outputGradient;
  const std::vector<Run> runs = runsOf(factors.sequences);
  // Of a tile of rows each; as many tiles go together as keep their changes in the cache, and a
  // run's inputs are fetched once for them.
  std::vector<std::vector<double>> parts((out.cols + kTileRows - 1) / kTileRows);
  const size_t tileBytes = encoded.size() * kTileRows * in.cols * sizeof(float);
  const size_t together = std::clamp<size_t>(kChangeBytes / tileBytes, 1, 8);
  job.parallelFor(parts.size(), together, [&](size_t begin, size_t end) {
    std::vector<std::vector<float>> changes;
    for (size_t part = begin; part < end; ++part) {
      const size_t rows = std::min(kTileRows, out.cols - part * kTileRows);
      changes.push_back(changesOf(encoded, weights, in.cols, part * kTileRows, rows));
      parts[part].resize(runs.size() * encoded.size());
    }
    for (size_t r = 0; r < runs.size(); ++r) {
      for (size_t part = begin; part < end; ++part) {
        const size_t row = part * kTileRows;
        cpuKernels().gradientProducts({.in = in.row(runs[r].first),
                                       .inStride = in.cols,
                                       .out = out.row(runs[r].first) + row,
                                       .outStride = out.cols,
                                       .tokens = runs[r].count,
                                       .rows = std::min(kTileRows, out.cols - row),
                                       .columns = in.cols,
                                       .changes = changes[part - begin].data(),
                                       .count = encoded.size(),
                                       .products = &parts[part][r * encoded.size()]});
      }
    }
  });
  addParts(parts, runs, samples);
}

// The gradient of an embedding has a row for each token that occurs.
void addEmbedding(const WeightFactors& factors, const float* weights,
                  const std::vector<Encoded>& encoded, std::vector<std::vector<double>>& samples,
                  JobContext& job) {
  const Matrix& out = factors.outputGradient;
  std::vector<std::vector<double>> products(out.rows);
  job.parallelFor(out.rows, kTileRows, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      const std::vector<float> changes =
          changesOf(encoded, weights, out.cols, size_t(factors.tokens[t]), 1);
      for (size_t i = 0; i < encoded.size(); ++i) {
        const float* change = changes.data() + i * out.cols;
        products[t].push_back(cpuKernels().dot(out.row(t), change, out.cols));
      }
    }
  });
  for (size_t t = 0; t < out.rows; ++t) {
    for (size_t i = 0; i < encoded.size(); ++i) {
      samples[i][factors.sequences[t]] += products[t][i];
    }
  }
}

}  // namespace

void addInnerProducts(const WeightFactors& factors, const DecodedWeights& weights,
                      const std::vector<Encoded>& encoded,
                      std::vector<std::vector<double>>& samples, JobContext& job) {
  if (factors.op.kind == OpKind::Embed) {
    addEmbedding(factors, weights->data(), encoded, samples, job);
  } else {
    addLinear(factors, weights->data(), encoded, samples, job);
  }
}

void addAbsoluteGradients(const WeightFactors& factors, Matrix& sum, JobContext& job) {
  const Matrix& out = factors.outputGradient;
  const std::vector<Run> runs = runsOf(factors.sequences);
  if (factors.op.kind == OpKind::Embed) {
    for (const Run& run : runs) {
      std::map<TokenId, std::vector<float>> rows;  // a token may occur twice in a sequence
      for (size_t t = run.first; t < run.first + run.count; ++t) {
        std::vector<float>& row = rows[factors.tokens[t]];
        row.resize(out.cols);
        cpuKernels().add(row.data(), row.data(), out.row(t), out.cols);
      }
      for (const auto& [token, row] : rows) {
        for (size_t i = 0; i < out.cols; ++i) sum.row(size_t(token))[i] += std::fabs(row[i]);
      }
    }
    return;
  }
  const Matrix& in = *factors.input;
  const std::vector<float> inputs = transposed(in, job);
  const std::vector<float> outputs = transposed(out, job);
  job.parallelFor((out.cols + kTileRows - 1) / kTileRows, 1, [&](size_t begin, size_t) {
    const size_t row = begin * kTileRows;
    const size_t rows = std::min(kTileRows, out.cols - row);
    std::vector<float> gradient(rows * in.cols);
    for (const Run& run : runs) {
      multiplyOut(inputs, outputs, in, out, run, row, rows, gradient);
      float* to = sum.row(row);
      for (size_t i = 0; i < gradient.size(); ++i) to[i] += std::fabs(gradient[i]);
    }
  });
}

}  // namespace bitloom

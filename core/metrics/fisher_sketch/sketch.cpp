// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/metrics/fisher_sketch/sketch.h"

#include <algorithm>

#include "core/inference/transposed.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kTileRows = 32;  // of a weight: changes of all codecs stay in the second cache
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
std::vector<float> changesOf(const SketchedTensor& tensor, const float* weights, size_t width,
                             size_t first, size_t count) {
  std::vector<float> changes(tensor.encoded.size() * count * width);
  for (size_t i = 0; i < tensor.encoded.size(); ++i) {
    float* change = changes.data() + i * count * width;
    decodeRows(tensor.encoded[i], first, count, change);
    for (size_t j = 0; j < count * width; ++j) change[j] -= weights[first * width + j];
  }
  return changes;
}

// Adds parts[part][candidate][run] in the order of parts.
void addParts(const std::vector<std::vector<double>>& parts, const std::vector<Run>& runs,
              SketchedTensor& tensor) {
  for (const std::vector<double>& part : parts) {
    for (size_t i = 0; i < tensor.samples.size(); ++i) {
      for (size_t r = 0; r < runs.size(); ++r) {
        tensor.samples[i][runs[r].sequence] += part[i * runs.size() + r];
      }
    }
  }
}

void addLinear(const WeightFactors& factors, const float* weights, SketchedTensor& tensor,
               JobContext& job) {
  const Matrix& in = *factors.input;
  const Matrix& out = factors.outputGradient;
  const std::vector<Run> runs = runsOf(factors.sequences);
  const std::vector<float> inputs = transposed(in, job);
  const std::vector<float> outputs = transposed(out, job);
  std::vector<std::vector<double>> parts((out.cols + kTileRows - 1) / kTileRows);
  job.parallelFor(parts.size(), 1, [&](size_t begin, size_t) {
    const size_t row = begin * kTileRows;
    const size_t rows = std::min(kTileRows, out.cols - row);
    const std::vector<float> changes = changesOf(tensor, weights, in.cols, row, rows);
    std::vector<float> gradient(rows * in.cols);
    std::vector<double>& part = parts[begin];
    part.resize(tensor.encoded.size() * runs.size());
    for (size_t r = 0; r < runs.size(); ++r) {
      cpuKernels().gemm({.a = outputs.data() + row * out.rows + runs[r].first,
                         .aStride = out.rows,
                         .b = inputs.data() + runs[r].first,
                         .bStride = in.rows,
                         .c = gradient.data(),
                         .cStride = in.cols,
                         .m = rows,
                         .n = in.cols,
                         .k = runs[r].count});
      for (size_t i = 0; i < tensor.encoded.size(); ++i) {
        const float* change = changes.data() + i * rows * in.cols;
        double sum = 0;
        for (size_t k = 0; k < rows; ++k) {
          sum += cpuKernels().dot(gradient.data() + k * in.cols, change + k * in.cols, in.cols);
        }
        part[i * runs.size() + r] = sum;
      }
    }
  });
  addParts(parts, runs, tensor);
}

// The gradient of an embedding has a row for each token that occurs.
void addEmbedding(const WeightFactors& factors, const float* weights, SketchedTensor& tensor,
                  JobContext& job) {
  const Matrix& out = factors.outputGradient;
  std::vector<std::vector<double>> products(out.rows);
  job.parallelFor(out.rows, kTileRows, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      const std::vector<float> changes =
          changesOf(tensor, weights, out.cols, size_t(factors.tokens[t]), 1);
      for (size_t i = 0; i < tensor.encoded.size(); ++i) {
        const float* change = changes.data() + i * out.cols;
        products[t].push_back(cpuKernels().dot(out.row(t), change, out.cols));
      }
    }
  });
  for (size_t t = 0; t < out.rows; ++t) {
    for (size_t i = 0; i < tensor.encoded.size(); ++i) {
      tensor.samples[i][factors.sequences[t]] += products[t][i];
    }
  }
}

}  // namespace

void addInnerProducts(const WeightFactors& factors, const DecodedWeights& weights,
                      SketchedTensor& tensor, JobContext& job) {
  if (factors.op.kind == OpKind::Embed) {
    addEmbedding(factors, weights->data(), tensor, job);
  } else {
    addLinear(factors, weights->data(), tensor, job);
  }
}

}  // namespace bitloom

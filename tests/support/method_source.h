// SPDX-License-Identifier: GPL-3.0-or-later
// Tensors and statistics that methods are tried on, and what an encoding costs under moments.
#pragma once
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/calibration.h"
#include "core/method.h"

namespace bitloom::test {

struct Source {
  std::vector<float> values;
  Tensor tensor;

  Source(uint64_t rows, uint64_t columns, std::string name = "blk.0.ffn_up.weight")
      : values(rows * columns) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (float& value : values) value = normal(random);
    tensor.name = std::move(name);
    tensor.shape = {columns, rows, 1, 1};
    tensor.dimensions = 2;
    tensor.type = "f32";
    tensor.codec = findCodec("f32");
    tensor.bytes = std::as_bytes(std::span(values));
  }
};

inline TensorStatistics unevenStatistics(size_t columns) {
  TensorStatistics statistics;
  statistics.tokens = 100;
  for (size_t i = 0; i < columns; ++i) statistics.sumSquares.push_back(i % 8 ? 1.0f : 4000.0f);
  std::vector<float> diagonal(columns * columns);
  for (size_t i = 0; i < columns; ++i) diagonal[i * columns + i] = statistics.importance()[i];
  statistics.moments = Moments::of(columns, diagonal, diagonal);
  return statistics;
}

struct TestJob {
  explicit TestJob(int threads = 2) : workers(threads), job(workers, control) {}
  Workers workers;
  JobControl control;
  JobContext job;
};

// Moments of inputs in which neighbouring columns go together and some columns are large.
inline std::vector<float> correlatedMoments(size_t columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> sums(columns * columns);
  const size_t tokens = 8 * columns;
  for (size_t token = 0; token < tokens; ++token) {
    std::vector<double> x(columns);
    double last = normal(random);
    for (size_t i = 0; i < columns; ++i) {
      last = 0.9 * last + 0.44 * normal(random);
      x[i] = last * (i % 17 == 0 ? 4 : 1);
    }
    for (size_t i = 0; i < columns; ++i) {
      for (size_t j = 0; j < columns; ++j) sums[i * columns + j] += x[i] * x[j];
    }
  }
  std::vector<float> moments(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) moments[i] = float(sums[i] / double(tokens));
  return moments;
}

inline TensorStatistics correlatedStatistics(size_t columns) {
  auto moments = Moments::of(columns, correlatedMoments(columns, 1), correlatedMoments(columns, 2));
  TensorStatistics statistics;
  statistics.tokens = 1;
  for (size_t i = 0; i < columns; ++i) {
    statistics.sumSquares.push_back(moments->used[i * columns + i]);
  }
  statistics.moments = std::move(moments);
  return statistics;
}

inline double lossUnder(std::span<const float> moments, const Source& source,
                        const Encoded& encoded) {
  const size_t n = source.tensor.rowLength();
  std::vector<float> decoded(source.values.size());
  decodeRows(encoded, 0, source.tensor.rows(), decoded.data());
  double loss = 0;
  for (size_t row = 0; row < source.tensor.rows(); ++row) {
    std::vector<double> error(n);
    for (size_t i = 0; i < n; ++i) {
      error[i] = double(decoded[row * n + i]) - double(source.values[row * n + i]);
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) loss += error[i] * error[j] * double(moments[i * n + j]);
    }
  }
  return loss;
}

}  // namespace bitloom::test

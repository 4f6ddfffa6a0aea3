// SPDX-License-Identifier: GPL-3.0-or-later
// Column importances seen from the rotated basis. With D = diag(importances) the squared error of a
// block is e·G·e for the error e of its rotated values and G = R·D·Rᵀ. The signs of R cancel, so
// G = H·D·H/32, which depends on i xor j only: G[i][j] = kernel[i ^ j], kernel = H·D/32. A whole
// matrix is thus 32 numbers, and G·e two fast transforms.
#pragma once
#include <array>

#include "core/codecs/lanes.h"
#include "core/codecs/tq/rotation.h"

namespace bitloom::tq {

class Importance {
 public:
  // False when the weights say nothing: none is positive, or one is not finite. Negative ones
  // count as zero; only ratios inside the block matter.
  bool set(const float* weights, float largest) {
    float kernel[kRotation];
    for (size_t i = 0; i < kRotation; ++i) {
      m_columns[i] = weights[i] > 0 ? weights[i] / largest : 0;
      kernel[i] = m_columns[i];
    }
    hadamard(kernel);
    for (size_t i = 0; i < kRotation; ++i) kernel[i] *= 1.0f / float(kRotation);
    m_diagonal = kernel[0];
    for (size_t i = 0; i < kRotation; ++i) {
      for (size_t j = 0; j < kRotation; ++j) m_matrix[i][j] = kernel[i ^ j];
    }
    return m_diagonal > 0;
  }

  float diagonal() const { return m_diagonal; }
  const float* row(size_t i) const { return m_matrix[i].data(); }

  // product ← G·vector
  void apply(const float* vector, float* product) const {
    for (size_t i = 0; i < kRotation; ++i) product[i] = vector[i];
    hadamard(product);
    for (size_t i = 0; i < kRotation; ++i) {
      product[i] *= m_columns[i] * (1.0f / float(kRotation));
    }
    hadamard(product);
  }

 private:
  std::array<float, kRotation> m_columns;
  std::array<std::array<float, kRotation>, kRotation> m_matrix;
  float m_diagonal = 0;
};

inline float dot32(const float* a, const float* b) {
  float lanes[kLanes];
  for (size_t j = 0; j < kLanes; ++j) lanes[j] = a[j] * b[j] + a[j + kLanes] * b[j + kLanes];
  return sumLanes(lanes);
}

// The largest of `count` importances; 0 when none is positive or one is infinite or NaN.
inline float largestImportance(const float* weights, size_t count) {
  float largest = 0;
  bool finite = true;
  for (size_t i = 0; i < count; ++i) {
    finite = finite && std::fabs(weights[i]) <= 0x1.fffffep127f;
    largest = weights[i] > largest ? weights[i] : largest;
  }
  return finite ? largest : 0;
}

}  // namespace bitloom::tq

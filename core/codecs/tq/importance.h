// SPDX-License-Identifier: GPL-3.0-or-later
// Column importances seen from the rotated basis. With D = diag(importances) the squared error of a
// block is e·G·e for the error e of its rotated values and G = R·D·Rᵀ. The signs of R cancel, so
// G = H·D·H/32, which depends on i xor j only: G[i][j] = kernel[i ^ j], kernel = H·D/32. A whole
// matrix is thus 32 numbers, and G·e two fast transforms.
#pragma once
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
    for (size_t shift = 0; shift < 4; ++shift) {
      for (size_t j = 0; j < kRotation; ++j) m_kernel[shift][j] = kernel[j ^ shift];
    }
    return kernel[0] > 0;
  }

  float diagonal() const { return m_kernel[0][0]; }
  float at(size_t i, size_t j) const { return m_kernel[0][i ^ j]; }

  // gradient ← gradient + change · (row i of G)
  void addRow(size_t i, float change, float* gradient) const {
    const float* kernel = m_kernel[i % 4];
    for (size_t j = 0; j < kRotation; j += 4) {
      const float* row = kernel + (j ^ (i & ~size_t(3)));
      for (size_t k = 0; k < 4; ++k) gradient[j + k] += change * row[k];
    }
  }

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
  float m_columns[kRotation];
  float m_kernel[4][kRotation] = {};  // copy s is permuted: [s][j] = kernel[j ^ s]
};

inline float dot32(const float* a, const float* b) {
  return sumLanes(Lanes::load(a) * Lanes::load(b) +
                  Lanes::load(a + kLanes) * Lanes::load(b + kLanes));
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

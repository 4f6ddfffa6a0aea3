// SPDX-License-Identifier: GPL-3.0-or-later
// The rotation that all TQ formats share: r = H·diag(s)·w / √32 over 32 consecutive weights, with H
// the natural-order (Sylvester) Hadamard matrix and s a fixed sign pattern. It is orthonormal, and
// because it mixes 32 weights the rotated values are close to Gaussian whatever the weights were.
// One rotated activation serves every TQ format. Source: TQ3_1S as the llama.cpp forks store it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/codecs/lanes.h"

namespace bitloom::tq {

constexpr size_t kRotation = 32;
constexpr float kNorm = 0x1.6a09e6p-3f;  // 1/√32 as a float, 0x3E3504F3

// −1 where the top bit of i · 0x9E3779B9 (mod 2³²) is set: a golden-ratio hash.
constexpr float signOf(size_t i) { return (uint32_t(i) * 0x9E3779B9u) >> 31 ? -1.0f : 1.0f; }

// s[i] / √32.
struct SignTable {
  alignas(16) float values[kRotation];
  constexpr SignTable() : values() {
    for (size_t i = 0; i < kRotation; ++i) values[i] = signOf(i) * kNorm;
  }
};
inline constexpr SignTable kSigns;

// block ← H·block, not normalised: five levels in which values 1, 2, 4, 8, 16 apart become their
// sum and difference. The first two levels act inside vectors of four, the others between them.
inline void hadamard(float* block) {
  constexpr size_t kVectors = kRotation / 4;
  constexpr Int4 kOdd = {0, INT32_MIN, 0, INT32_MIN};  // sign bits of the differences
  constexpr Int4 kUpper = {0, 0, INT32_MIN, INT32_MIN};
  Float4 v[kVectors];
  std::memcpy(v, block, sizeof(v));
  for (Float4& x : v) {
    x = __builtin_shufflevector(x, x, 0, 0, 2, 2) +
        (Float4)((Int4)__builtin_shufflevector(x, x, 1, 1, 3, 3) ^ kOdd);
    x = __builtin_shufflevector(x, x, 0, 1, 0, 1) +
        (Float4)((Int4)__builtin_shufflevector(x, x, 2, 3, 2, 3) ^ kUpper);
  }
  for (size_t stride = 1; stride < kVectors; stride *= 2) {
    Float4 next[kVectors];
    for (size_t i = 0; i < kVectors; ++i) {
      next[i] = i & stride ? v[i - stride] - v[i] : v[i] + v[i + stride];
    }
    std::memcpy(v, next, sizeof(v));
  }
  std::memcpy(block, v, sizeof(v));
}

// Signs first and the factor last, the order that the reference encoders use.
inline void rotate(float* block) {
  for (size_t i = 0; i < kRotation; ++i) block[i] *= signOf(i);
  hadamard(block);
  for (size_t i = 0; i < kRotation; ++i) block[i] *= kNorm;
}

inline void unrotate(float* block) {
  hadamard(block);
  for (size_t i = 0; i < kRotation; ++i) block[i] *= kSigns.values[i];
}

}  // namespace bitloom::tq

// SPDX-License-Identifier: GPL-3.0-or-later
// The rotation that all TQ formats share: r = H·diag(s)·w / √32 over 32 consecutive weights, with H
// the natural-order (Sylvester) Hadamard matrix and s a fixed sign pattern. It is orthonormal, and
// because it mixes 32 weights the rotated values are close to Gaussian whatever the weights were.
// One rotated activation serves every TQ format. Source: TQ3_1S as the llama.cpp forks store it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bitloom::tq {

constexpr size_t kRotation = 32;
constexpr float kNorm = 0x1.6a09e6p-3f;  // 1/√32 as a float, 0x3E3504F3

// −1 where the top bit of i · 0x9E3779B9 (mod 2³²) is set: a golden-ratio hash.
constexpr float signOf(size_t i) {
  return (uint32_t(i) * 0x9E3779B9u) >> 31 ? -1.0f : 1.0f;
}

// s[i] / √32.
struct SignTable {
  alignas(16) float values[kRotation];
  constexpr SignTable() : values() {
    for (size_t i = 0; i < kRotation; ++i) values[i] = signOf(i) * kNorm;
  }
};
inline constexpr SignTable kSigns;

// One level of the fast transform: pairs `stride` apart become their sum and difference.
template <size_t kStride>
inline void butterfly(float* block) {
  float next[kRotation];
  for (size_t i = 0; i < kRotation; i += 2 * kStride) {
    for (size_t j = i; j < i + kStride; ++j) {
      next[j] = block[j] + block[j + kStride];
      next[j + kStride] = block[j] - block[j + kStride];
    }
  }
  for (size_t i = 0; i < kRotation; ++i) block[i] = next[i];
}

// block ← H·block, not normalised.
inline void hadamard(float* block) {
  butterfly<1>(block);
  butterfly<2>(block);
  butterfly<4>(block);
  butterfly<8>(block);
  butterfly<16>(block);
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

// SPDX-License-Identifier: GPL-3.0-or-later
// The left side of products with panels: rounding to bytes, rotation.

// code = value · 127 / largest of the 32, to the nearest integer; a run of zeros has scale 0. A run
// that holds an infinity or a NaN has that as its scale, and so spoils every sum it enters.
void roundActivations(const float* row, size_t k, int8_t* codes, float* scales, int32_t* sums) {
  for (size_t step = 0; step < k / kPanelStep; ++step, row += kPanelStep, codes += kPanelStep) {
    float largest = 0;
    float spoiled = 0;
    for (size_t i = 0; i < kPanelStep; ++i) {
      const float size = row[i] < 0 ? -row[i] : row[i];
      largest = size > largest ? size : largest;
      spoiled += row[i] * 0.0f;
    }
    const float inverse = largest > 0 && spoiled == 0 ? 127.0f / largest : 0.0f;
    scales[step] = largest / 127.0f + spoiled;
    const float kRounding = 12582912.0f;  // 1.5 · 2²³: adding it leaves the nearest integer
    for (size_t i = 0; i < kPanelStep; ++i) {
      codes[i] = int8_t(int32_t(row[i] * inverse + kRounding - kRounding));
    }
    int32_t halves[2] = {};
    for (size_t i = 0; i < kPanelStep; ++i) halves[i / 16] += codes[i];
    int32_t* to = sums + step * kPanelSums;
    to[0] = -128 * halves[0];
    to[1] = -128 * halves[1];
    to[2] = to[0] + to[1];
    to[3] = 0;
  }
}

// H·diag(s)/√32 on each 32 values, the rotation of the TQ formats: s[i] is −1 where the top bit of
// i · 0x9E3779B9 (mod 2³²) is set, H the Hadamard matrix in its natural order.
void rotateActivations(float* row, size_t k) {
  constexpr float kNorm = 0x1.6a09e6p-3f;  // 1/√32
  float signs[kPanelStep];
  for (size_t i = 0; i < kPanelStep; ++i) {
    signs[i] = (uint32_t(i) * 0x9E3779B9u) >> 31 ? -kNorm : kNorm;
  }
  for (size_t step = 0; step < k / kPanelStep; ++step, row += kPanelStep) {
    float values[kPanelStep];
    for (size_t i = 0; i < kPanelStep; ++i) values[i] = row[i] * signs[i];
#pragma GCC unroll 5
    for (size_t stride = 16; stride > 0; stride /= 2) {
      float next[kPanelStep];
#pragma GCC unroll 32
      for (size_t i = 0; i < kPanelStep; ++i) {
        next[i] = i & stride ? values[i - stride] - values[i] : values[i] + values[i + stride];
      }
      __builtin_memcpy(values, next, sizeof values);
    }
    __builtin_memcpy(row, values, sizeof values);
  }
}

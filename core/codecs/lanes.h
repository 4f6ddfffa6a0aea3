// SPDX-License-Identifier: GPL-3.0-or-later
// What the encoders share: sums in a fixed order of 16 lanes, so that every CPU target and every
// vector width gives the same bytes, and small guards against overflow.
#pragma once
#include <cmath>
#include <cstddef>

namespace bitloom {

constexpr size_t kLanes = 16;

// Folds the upper half of the lanes onto the lower, four times.
inline float sumLanes(const float* lanes) {
  float half[8];
  for (size_t j = 0; j < 8; ++j) half[j] = lanes[j] + lanes[j + 8];
  for (size_t j = 0; j < 4; ++j) half[j] += half[j + 4];
  return (half[0] + half[2]) + (half[1] + half[3]);
}

// 1/step; 0 for a step so small that its inverse overflows: all codes then mean zero.
inline float inverseOf(float step) {
  const float inverse = step != 0 ? 1.0f / step : 0.0f;
  return std::fabs(inverse) <= 0x1.fffffep127f ? inverse : 0.0f;
}

// trunc(value) within 0 … top, for any value; 0 for NaN.
inline int clampedCode(float value, int top) {
  const float limited = value > 0.0f ? (value < float(top) ? value : float(top)) : 0.0f;
  return int(limited);
}

}  // namespace bitloom

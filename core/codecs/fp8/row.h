// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of 8-bit floats: f32 scale | a byte for each weight; weight = scale · number. One scale for
// each row is what the checkpoints hold that are trained or published in these formats ("channel"
// strategy of compressed-tensors), and rows of any length fit. Formats: Micikevicius et al. 2022,
// arXiv 2209.05433, table 1.
//
// The scale only moves the row against the binades of the format, so the search is short: the
// largest weight on the largest number, a power of two (rows that are on the grid come back bit for
// bit), and shares of an octave between; whichever leaves the least importance-weighted error.
#pragma once
#include <algorithm>

#include "core/codec.h"
#include "core/codecs/lanes.h"
#include "core/half.h"

namespace bitloom::fp8 {

// Sign, 7 − kMantissa bits of exponent, kMantissa of mantissa; kTop is the code of the largest
// finite number. Codes above it are infinity where the format has one (kInfinity), and NaN.
template <int kMantissa, int kTop, int kInfinity>
struct Number {
  static constexpr int kBias = (1 << (6 - kMantissa)) - 1;
  static constexpr int kShift = 23 - kMantissa;
  static constexpr uint32_t kRebias = uint32_t(127 - kBias) << kMantissa;
  static constexpr float kLeastNormal = std::bit_cast<float>(uint32_t(128 - kBias) << 23);
  static constexpr float kLeast = std::bit_cast<float>(uint32_t(128 - kBias - kMantissa) << 23);

  static constexpr float decoded(uint8_t code) {
    const int magnitude = code & 0x7f;
    float value = magnitude < 1 << kMantissa
                      ? float(magnitude) * kLeast
                      : std::bit_cast<float>((uint32_t(magnitude) + kRebias) << kShift);
    if (magnitude > kTop) {
      value = std::bit_cast<float>(magnitude == kInfinity ? 0x7f800000u : 0x7fc00000u);
    }
    return code & 0x80 ? -value : value;
  }

  static constexpr float kLargest = decoded(uint8_t(kTop));

  // The nearest finite number, ties to even mantissas; any value but NaN.
  static float nearest(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(clampFinite(value, kLargest));
    const uint32_t magnitude = bits & 0x7fffffffu;
    constexpr uint32_t kHalfStep = (1u << (kShift - 1)) - 1;
    const uint32_t normal =
        (magnitude + kHalfStep + (magnitude >> kShift & 1)) & ~((1u << kShift) - 1);
    constexpr float kMagic = kLeast * 0x1p23f;  // its last bit is the least number
    const float subnormal = (std::bit_cast<float>(magnitude) + kMagic) - kMagic;
    const bool isNormal = std::bit_cast<float>(magnitude) >= kLeastNormal;
    const uint32_t rounded = isNormal ? normal : std::bit_cast<uint32_t>(subnormal);
    return std::bit_cast<float>((bits & 0x80000000u) | rounded);
  }

  // Of a number of the format.
  static uint8_t code(float number) {
    const uint32_t bits = std::bit_cast<uint32_t>(number);
    const uint32_t magnitude = bits & 0x7fffffffu;
    const float size = std::bit_cast<float>(magnitude);
    const uint32_t low =
        size < kLeastNormal ? uint32_t(size * (1 / kLeast)) : (magnitude >> kShift) - kRebias;
    return uint8_t(bits >> 24 & 0x80) | uint8_t(low);
  }
};

template <typename Format>
struct Row {
  static uint64_t rowBytes(uint64_t n) { return n == 0 ? 0 : sizeof(float) + n; }

  static float largest(std::span<const float> row) {
    float found = 0;
    for (const float value : row) found = std::fabs(value) > found ? std::fabs(value) : found;
    return std::min(found, 0x1.fffffep127f);
  }

  // In lanes over the columns: the same sum on every machine.
  static float error(std::span<const float> row, std::span<const float> weights, float scale) {
    const float inverse = inverseOf(scale);
    float lanes[kLanes] = {};
    for (size_t start = 0; start < row.size(); start += kLanes) {
      const size_t count = std::min(kLanes, row.size() - start);
      for (size_t i = 0; i < count; ++i) {
        const float value = row[start + i];
        const float rest = (value - Format::nearest(value * inverse) * scale) * inverse;
        lanes[i] += rest * rest * (weights.empty() ? 1.0f : weights[start + i]);
      }
    }
    return sumLanes(lanes) * scale * scale;
  }

  static float chooseScale(std::span<const float> row, std::span<const float> weights) {
    const float whole = largest(row) / Format::kLargest;
    if (inverseOf(whole) == 0) return 0;
    const float power = std::bit_cast<float>(std::bit_cast<uint32_t>(whole) & 0x7f800000u);
    float best = whole == power ? whole : 2 * power;
    float least = error(row, weights, best);
    for (int step = 0; step < kSteps; ++step) {
      const float scale = whole * (1 + float(step) / kSteps);
      const float other = error(row, weights, scale);
      if (!(other < least)) continue;
      least = other;
      best = scale;
    }
    return best;
  }

  static void encode(std::span<const float> row, std::span<const float> weights,
                     std::span<std::byte> bytes) {
    float scale = chooseScale(row, {});
    if (!weights.empty()) {
      const float weighted = chooseScale(row, weights);
      if (error(row, weights, weighted) < error(row, weights, scale)) scale = weighted;
    }
    std::memcpy(bytes.data(), &scale, sizeof(scale));
    const float inverse = inverseOf(scale);
    for (size_t i = 0; i < row.size(); ++i) {
      bytes[sizeof(scale) + i] = std::byte(Format::code(Format::nearest(row[i] * inverse)));
    }
  }

  static void decode(std::span<const std::byte> bytes, std::span<float> row) {
    float scale;
    std::memcpy(&scale, bytes.data(), sizeof(scale));
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = scale * Format::decoded(uint8_t(bytes[sizeof(scale) + i]));
    }
  }

 private:
  static constexpr int kSteps = 8;
};

}  // namespace bitloom::fp8

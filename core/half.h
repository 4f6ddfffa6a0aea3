// SPDX-License-Identifier: GPL-3.0-or-later
// Conversions between float and the two 16-bit formats that weight files use: IEEE 754 binary16
// ("half") and bfloat16. All round to nearest, ties to even, and handle subnormals, infinities and
// NaN (which stays a NaN). Pure integer and float arithmetic without tables, so that loops over
// them vectorise on any target and give the same bits everywhere.
#pragma once
#include <bit>
#include <cstdint>

namespace bitloom {

constexpr float kHalfMax = 65504.0f;
constexpr float kBfloatMax = 0x1.fep127f;

constexpr float halfToFloat(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  // Exponents differ by 127 − 15 = 112; the top exponent (infinity, NaN) moves by twice that.
  const uint32_t exponent = magnitude >= 0x7c00u ? 224u << 23 : 112u << 23;
  const uint32_t normal = (magnitude << 13) + exponent;
  const uint32_t subnormal = std::bit_cast<uint32_t>(float(int32_t(magnitude)) * 0x1p-24f);
  return std::bit_cast<float>(sign | (magnitude < 0x0400u ? subnormal : normal));
}

constexpr uint16_t floatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);  // 65520, half way to 2¹⁶
  if (magnitude < 0x38800000u) {  // below 2⁻¹⁴: one float addition rounds to a multiple of 2⁻²⁴
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return uint16_t(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u);
  return uint16_t(sign | (rounded >> 13));
}

constexpr float bfloatToFloat(uint16_t bfloat) {
  return std::bit_cast<float>(uint32_t(bfloat) << 16);
}

constexpr uint16_t floatToBfloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t((bits >> 16) | 0x40u);
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// A NaN becomes −limit: what is stored as a scale must be finite.
constexpr float clampFinite(float value, float limit) {
  return value > -limit ? (value < limit ? value : limit) : -limit;
}

// For scales of encoders: finite values stay finite.
constexpr uint16_t floatToHalfClamped(float value) {
  return floatToHalf(clampFinite(value, kHalfMax));
}

constexpr float roundToHalf(float value) { return halfToFloat(floatToHalfClamped(value)); }

}  // namespace bitloom

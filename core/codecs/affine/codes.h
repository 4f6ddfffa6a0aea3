// SPDX-License-Identifier: GPL-3.0-or-later
// How the 32 codes of a GGUF block with uniform steps lie in its bytes: element j and j + 16 share
// a byte; fifth bits are collected in a little-endian word, bit j for element j.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/codecs/lanes.h"

namespace bitloom::affine {

constexpr size_t kWeights = 32;
using Codes = std::array<uint8_t, kWeights>;

// One number for each weight of a block.
struct Numbers {
  Lanes low;
  Lanes high;

  static Numbers load(const float* values) {
    return {Lanes::load(values), Lanes::load(values + kLanes)};
  }
  float sum() const { return sumLanes(low + high); }
};
inline Numbers operator-(const Numbers& a, const Numbers& b) {
  return {a.low - b.low, a.high - b.high};
}
inline Numbers operator*(const Numbers& a, const Numbers& b) {
  return {a.low * b.low, a.high * b.high};
}
inline Numbers operator*(const Numbers& a, float b) { return {a.low * b, a.high * b}; }
inline Numbers operator+(const Numbers& a, float b) {
  return {a.low + Lanes::all(b), a.high + Lanes::all(b)};
}
inline Numbers clampedLevels(const Numbers& a, int top) {
  return {bitloom::clampedLevels(a.low, float(top)), bitloom::clampedLevels(a.high, float(top))};
}

struct Codes4 {
  static constexpr int kLevels = 16;
  uint8_t low[16];

  void put(const uint8_t* codes) {
    for (size_t j = 0; j < 16; ++j) low[j] = uint8_t(codes[j] | codes[j + 16] << 4);
  }
  Codes get() const {
    Codes codes;
    for (size_t j = 0; j < 16; ++j) {
      codes[j] = low[j] & 15;
      codes[j + 16] = low[j] >> 4;
    }
    return codes;
  }
};

struct Codes5 {
  static constexpr int kLevels = 32;
  uint8_t high[4];
  uint8_t low[16];

  void put(const uint8_t* codes) {
    uint32_t word = 0;
    for (size_t j = 0; j < kWeights; ++j) word |= uint32_t(codes[j] >> 4 & 1) << j;
    for (size_t j = 0; j < 4; ++j) high[j] = uint8_t(word >> (8 * j));
    for (size_t j = 0; j < 16; ++j) low[j] = uint8_t((codes[j] & 15) | (codes[j + 16] & 15) << 4);
  }
  Codes get() const {
    Codes codes;
    for (size_t j = 0; j < 16; ++j) {
      codes[j] = uint8_t((low[j] & 15) | (high[j / 8] >> (j % 8) & 1) << 4);
      codes[j + 16] = uint8_t(low[j] >> 4 | (high[2 + j / 8] >> (j % 8) & 1) << 4);
    }
    return codes;
  }
};

}  // namespace bitloom::affine

// SPDX-License-Identifier: GPL-3.0-or-later
// What the codes of a block mean before scaling: evenly spaced levels, or a table of them. Each is
// chosen for itself (kSeparate), unlike points of a lattice, so that any sixteen may share lanes.
#pragma once
#include <array>
#include <iterator>

#include "core/codecs/super_block/numbers.h"

namespace bitloom::super_block {

// code − kZero for codes 0 … kTop.
template <int kZero, int kTop>
struct Even {
  static constexpr bool kSeparate = true;
  static constexpr int kCodes = kTop + 1;
  static constexpr float kPeak = kZero > kTop - kZero ? float(kZero) : float(kTop - kZero);

  template <size_t kCount>
  static Numbers<kCount> nearest(const Numbers<kCount>& scaled, const Numbers<kCount>&) {
    return scaled.mapped([](const Lanes& lanes) {
      constexpr float kShift = float(kZero) + 0.5f;
      return clampedLevels(lanes + Lanes::all(kShift), float(kTop)) - Lanes::all(float(kZero));
    });
  }
  static int nearestCode(float scaled) { return clampedCode(scaled + (float(kZero) + 0.5f), kTop); }
  static int code(float level) { return int(level) + kZero; }
  static float level(int code) { return float(code - kZero); }
};

// `Table::kLevels` ascending.
template <typename Table>
struct Listed {
  static constexpr bool kSeparate = true;
  static constexpr int kCodes = int(std::size(Table::kLevels));
  static constexpr float kPeak = std::max(-Table::kLevels[0], Table::kLevels[kCodes - 1]);
  static constexpr Ladder<size_t(kCodes)> kLadder{Table::kLevels};

  template <size_t kCount>
  static Numbers<kCount> nearest(const Numbers<kCount>& scaled, const Numbers<kCount>&) {
    return scaled.mapped([](const Lanes& lanes) { return kLadder.nearest(lanes); });
  }
  static int nearestCode(float scaled) { return int(kLadder.indexOf(scaled)); }
  static int code(float level) { return int(kLadder.indexOf(level)); }
  static float level(int code) { return Table::kLevels[code]; }
};

template <typename Levels, size_t kCount>
void setLevels(const uint8_t (&codes)[kCount], std::array<float, kCount>& levels) {
  for (size_t i = 0; i < kCount; ++i) levels[i] = Levels::level(codes[i]);
}
template <typename Levels, size_t kCount>
void setCodes(const std::array<float, kCount>& levels, uint8_t (&codes)[kCount]) {
  for (size_t i = 0; i < kCount; ++i) codes[i] = uint8_t(Levels::code(levels[i]));
}

}  // namespace bitloom::super_block

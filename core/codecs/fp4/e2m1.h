// SPDX-License-Identifier: GPL-3.0-or-later
// Four-bit floats: sign, two bits of exponent, one of mantissa; 0, ½, 1, 1½, 2, 3, 4, 6 (OCP
// Microscaling Formats 1.0, table 5). Levels are the doubles of the numbers, so that they are
// whole.
#pragma once
#include "core/codecs/super_block/levels.h"
#include "kernels/base/levels.h"

namespace bitloom::fp4 {

struct E2M1 {
  struct Table {
    static constexpr float kLevels[15] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};
  };
  using Ascending = super_block::Listed<Table>;
  static constexpr bool kSeparate = true;
  static constexpr float kPeak = Ascending::kPeak;

  template <size_t kCount>
  static super_block::Numbers<kCount> nearest(const super_block::Numbers<kCount>& scaled,
                                              const super_block::Numbers<kCount>& weights) {
    return Ascending::nearest(scaled, weights);
  }
  // Zero is at index 7: codes count away from it, negative ones from 8.
  static int codeOf(int index) { return index < 7 ? 15 - index : index - 7; }
  static int nearestCode(float scaled) { return codeOf(Ascending::nearestCode(scaled)); }
  static int code(float level) { return codeOf(Ascending::code(level)); }
  static float level(int code) { return levels::kFloat4[code]; }
};

}  // namespace bitloom::fp4

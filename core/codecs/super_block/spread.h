// SPDX-License-Identifier: GPL-3.0-or-later
// A block with its parts side by side in the lanes, so that all parts are searched at once and
// sums need no folding across lanes. A part takes kSlices lanes, kParts apart; lane s · kParts + p
// of row k holds weight k · kSlices + s of part p.
#pragma once
#include "core/codecs/lanes.h"

namespace bitloom::super_block {

template <size_t kWeights, size_t kPart>
struct Spread {
  static constexpr size_t kParts = kWeights / kPart;
  static constexpr size_t kSlices = kLanes / kParts;
  static constexpr size_t kDepth = kWeights / kLanes;
  static_assert(kParts * kSlices == kLanes && kSlices * kDepth == kPart);
  Lanes row[kDepth];

  static Spread of(const float* values) {
    float spread[kWeights];
    for (size_t k = 0; k < kDepth; ++k) {
      for (size_t s = 0; s < kSlices; ++s) {
        for (size_t p = 0; p < kParts; ++p) {
          spread[k * kLanes + s * kParts + p] = values[p * kPart + k * kSlices + s];
        }
      }
    }
    Spread result;
    std::memcpy(result.row, spread, sizeof(spread));
    return result;
  }

  void store(float* values) const {
    float spread[kWeights];
    std::memcpy(spread, row, sizeof(spread));
    for (size_t k = 0; k < kDepth; ++k) {
      for (size_t s = 0; s < kSlices; ++s) {
        for (size_t p = 0; p < kParts; ++p) {
          values[p * kPart + k * kSlices + s] = spread[k * kLanes + s * kParts + p];
        }
      }
    }
  }

  // Combines the lanes of each part; all of them hold the result. `operation` commutes.
  template <typename Operation>
  static Lanes folded(Lanes lanes, Operation operation) {
    if constexpr (kSlices > 1) lanes = operation(lanes, flipped<kLanes / 2>(lanes));
    if constexpr (kSlices > 2) lanes = operation(lanes, flipped<kLanes / 4>(lanes));
    if constexpr (kSlices > 4) lanes = operation(lanes, flipped<kLanes / 8>(lanes));
    if constexpr (kSlices > 8) lanes = operation(lanes, flipped<kLanes / 16>(lanes));
    return lanes;
  }
  static Lanes sums(const Lanes& lanes) {
    return folded(lanes, [](const Lanes& a, const Lanes& b) { return a + b; });
  }

  // Over all parts, of something that the lanes of a part agree on.
  static float total(const Lanes& lanes) { return sumLanes(lanes) * (1.0f / float(kSlices)); }
};

}  // namespace bitloom::super_block

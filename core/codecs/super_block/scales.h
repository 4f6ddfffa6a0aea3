// SPDX-License-Identifier: GPL-3.0-or-later
// What the searches of super-blocks share: scales as layouts hold them, trial steps, choices.
#pragma once
#include <array>
#include <span>

#include "core/codecs/super_block/numbers.h"
#include "core/half.h"

namespace bitloom::super_block {

constexpr float kLeastHalf = 0x1p-24f;

// As an fp16 scale, and none that is not zero becomes zero.
inline float storedScale(float scale) {
  const float stored = roundToHalf(scale);
  if (stored != 0 || scale == 0) return stored;
  return scale < 0 ? -kLeastHalf : kLeastHalf;
}

// For layouts with one fp16 d for the parts of a block.
// Blocks whose error, relative to their energy, is below this have more than rounded codes explain.
constexpr float kRoundingLoss = 0x1p-13f;
constexpr int kFarReach = 3;      // steps from a part's own scale, then
constexpr int kNeighbours = 128;  // on each side of a scale

// The half that many steps further from zero (nearer for negative ones), if there is one.
inline float neighbourOf(float half, int steps) {
  const uint16_t bits = floatToHalf(half);
  const int magnitude = (bits & 0x7fff) + steps;
  if (magnitude < 1 || magnitude >= 0x7c00) return half;
  return halfToFloat(uint16_t((bits & 0x8000) | magnitude));
}

// Σ weights · values²
template <size_t kCount>
float energyOf(const float* values, const float* weights) {
  using All = Numbers<kCount>;
  const All numbers = All::load(values);
  return (numbers * numbers * All::load(weights)).sum();
}

struct HalfScale {
  static float stored(float scale) { return storedScale(scale); }
};
// For layouts whose parts hold their whole scales.
struct UnitScale {
  static float stored(float) { return 1; }
};

// round(value) within low … high; low for NaN.
inline int clampedRound(float value, int low, int high) {
  return clampedCode(value - float(low) + 0.5f, high - low) + low;
}

// `Blocks::choose` without importances and, where there are any, with them: whichever does better
// by them. Importances that are all zero count as none.
template <typename Blocks>
auto chooseWeighted(const float* values, const float* weights) {
  constexpr size_t kCount = Blocks::kWeights;
  float equal[kCount];
  std::fill_n(equal, kCount, 1.0f);
  const auto plain = Blocks::choose(values, equal);
  float total = 0;
  for (size_t i = 0; weights != nullptr && i < kCount; ++i) total += weights[i];
  if (!(total > 0)) return plain;
  const auto errorOf = [&](const auto& choice) {
    float decoded[kCount];
    Blocks::expand(choice, decoded);
    using All = Numbers<kCount>;
    return squaredError(All::load(values), All::load(weights), All::load(decoded));
  };
  const auto weighted = Blocks::choose(values, weights);
  return errorOf(weighted) < errorOf(plain) ? weighted : plain;
}

// Steps low … high that mean kPitch · step + kOffset.
template <int kLow, int kHigh, float kPitch = 1.0f, float kOffset = 0.0f>
struct EvenSteps {
  static constexpr int kLowStep = kLow;
  static constexpr int kHighStep = kHigh;
  static float multiplier(int step) { return kPitch * float(step) + kOffset; }
  static int stepOf(float ratio) { return clampedRound((ratio - kOffset) / kPitch, kLow, kHigh); }
};

// Where trial steps put the largest weight: a share of the largest level.
struct Trials {
  float first;
  float last;
  int count;
  // Fine steps gain nothing from trying the side with one level less, too.
  bool bothSigns = true;
};

constexpr Trials kTernaryTrials = {0.75f, 6.0f, 24};

// Where the encoder first puts the largest part's scale: a share of the largest step's. Coarse
// steps deserve more starts than fine ones.
constexpr float kFineStarts[] = {1.0f};
constexpr float kCoarseStarts[] = {1.0f, 0.96f, 0.9f, 0.82f};

template <size_t kWeights, size_t kPart>
struct ScaledChoice {
  float scale = 0;
  std::array<int, kWeights / kPart> steps{};
  alignas(64) std::array<float, kWeights> levels{};
};

// Among equals the earlier one stays: it is the one that fp16 may hold exactly.
constexpr float kClearly = 1 + 1e-6f;

}  // namespace bitloom::super_block

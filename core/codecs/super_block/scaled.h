// SPDX-License-Identifier: GPL-3.0-or-later
// Super-blocks of 256 weights whose parts have small integer scales under one fp16 scale:
//   weight = (d · multiplier(step of the part)) · level.
//
// The encoder minimises the importance-weighted squared error itself: each part finds its own best
// scale (trial steps, each followed by least squares); several d that put the largest part on one
// of the last steps are tried; parts take the best of the steps next to their own scale; then d and
// the steps take turns, d by least squares, rounded to fp16 before the steps and codes are chosen.
// With importances the choice made without them competes too, so they never do harm.
#pragma once
#include <array>
#include <iterator>

#include "core/block_codec.h"
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

// Format: kWeights, kPart; Levels; kSigned, whether scales may be negative; kTrials, kStarts;
// Steps, as EvenSteps; Block; and
//   static float stored(float scale);          d as the layout holds it
//   static void read(const Block&, Choice&);   the stored parameters and levels
//   static void write(const Choice&, Block&);  into zeros
template <typename Format>
struct Scaled {
  using Self = Scaled;
  static constexpr size_t kWeights = Format::kWeights;
  static constexpr size_t kPart = Format::kPart;
  static constexpr size_t kParts = kWeights / kPart;
  static constexpr bool kSigned = Format::kSigned;
  using Steps = typename Format::Steps;
  using Levels = typename Format::Levels;
  using Block = typename Format::Block;
  using Choice = ScaledChoice<kWeights, kPart>;
  using Part = Numbers<kPart>;

  static float topMultiplier() {
    return Steps::multiplier(Steps::kLowStep < 0 ? Steps::kLowStep : Steps::kHighStep);
  }

  struct Fit {
    float product = 0;  // Σ weights · values · levels
    float square = 0;   // Σ weights · levels²
    float scale() const { return square > 0 ? product / square : 0.0f; }
    float gain() const { return square > 0 ? product / square * product : 0.0f; }
  };

  static Fit fitOf(const Part& values, const Part& weights, const Part& levels) {
    const Part weighted = weights * levels;
    return {(weighted * values).sum(), (weighted * levels).sum()};
  }

  // Among equals the earlier one stays: it is the one that fp16 may hold exactly.
  static constexpr float kClearly = 1 + 1e-6f;

  // The scale that suits a part best, when it may be any number.
  static float ownScale(const Part& values, const Part& weights) {
    const float peak = values.peak();  // lands on −kPeak in the first trial: exact for one weight
    if (peak == 0) return 0;
    Fit best;
    const auto attempt = [&](float inverse) {
      const Fit fit = fitOf(values, weights, Levels::nearest(values * inverse, weights));
      if (fit.gain() > best.gain() * kClearly && (kSigned || fit.product > 0)) best = fit;
    };
    const float whole = inverseOf(peak / (kSigned ? -Levels::kPeak : Levels::kPeak));
    attempt(kSigned ? whole : std::fabs(whole));
    constexpr Trials kTrials = Format::kTrials;
    for (int trial = 0; trial < kTrials.count; ++trial) {
      const float way = kTrials.count > 1 ? float(trial) / float(kTrials.count - 1) : 0.0f;
      const float share = kTrials.first + (kTrials.last - kTrials.first) * way;
      attempt(std::fabs(whole) * share);
      if (kSigned) attempt(-std::fabs(whole) * share);
    }
    for (int round = 0; round < 2; ++round) attempt(inverseOf(best.scale()));
    return best.scale();
  }

  struct Search {
    const float* values;
    const float* weights;
    std::array<float, kParts> scales;  // each part's own

    Part valuesOf(size_t part) const { return Part::load(values + part * kPart); }
    Part weightsOf(size_t part) const { return Part::load(weights + part * kPart); }

    Search(const float* row, const float* importances) : values(row), weights(importances) {
      for (size_t p = 0; p < kParts; ++p) scales[p] = ownScale(valuesOf(p), weightsOf(p));
    }

    float largest() const {
      float found = 0;
      for (const float scale : scales) found = std::fabs(scale) > std::fabs(found) ? scale : found;
      return found;
    }

    // Steps and levels for `choice.scale`; the error.
    float assign(Choice& choice) const {
      const float inverse = inverseOf(choice.scale);
      float total = 0;
      for (size_t p = 0; p < kParts; ++p) {
        const int middle = Steps::stepOf(scales[p] * inverse);
        float least = -1;
        const Part part = valuesOf(p);
        const Part importances = weightsOf(p);
        for (int step = std::max(middle - 1, Steps::kLowStep);
             step <= std::min(middle + 1, Steps::kHighStep); ++step) {
          const float scale = choice.scale * Steps::multiplier(step);
          const Part levels = Levels::nearest(part * inverseOf(scale), importances);
          const float error = squaredError(part, importances, levels * scale);
          if (least >= 0 && !(error < least)) continue;
          least = error;
          choice.steps[p] = step;
          levels.store(&choice.levels[p * kPart]);
        }
        total += least;
      }
      return total;
    }

    // d for the steps and levels of a choice; each part's own scale for its levels.
    float refit(const Choice& choice) {
      float product = 0;
      float square = 0;
      for (size_t p = 0; p < kParts; ++p) {
        const Fit fit = fitOf(valuesOf(p), weightsOf(p), Part::load(&choice.levels[p * kPart]));
        const float factor = Steps::multiplier(choice.steps[p]);
        product += factor * fit.product;
        square += factor * factor * fit.square;
        if (fit.square > 0) scales[p] = fit.scale();
      }
      return square > 0 ? product / square : 0.0f;
    }
  };

  static constexpr int kRefinements = 3;

  static Choice choose(const float* values, const float* weights) {
    Search search(values, weights);
    Choice best;  // nothing but zeros, for weights that are too small
    float least = search.assign(best);
    const auto compete = [&](float scale) {
      Choice choice;
      choice.scale = Format::stored(scale);
      const float error = search.assign(choice);
      if (!(error < least)) return false;
      least = error;
      best = choice;
      return true;
    };
    const float first = search.largest() / topMultiplier();
    const bool coarse = std::fabs(first) < 64 * kLeastHalf;
    for (const float start : coarse ? std::span<const float>(kCoarseStarts) : Format::kStarts) {
      compete(first / start);
      if (kSigned) compete(-first / start);
    }
    for (int round = 0; round < kRefinements; ++round) {
      if (!compete(search.refit(best))) break;
    }
    return best;
  }

  static void encodeBlock(const float* values, const float* weights, Block& block) {
    block = {};
    Format::write(chooseWeighted<Self>(values, weights), block);
  }

  static void decodeBlock(const Block& block, float* values) {
    Choice choice;
    Format::read(block, choice);
    expand(choice, values);
  }

  static void expand(const Choice& choice, float* values) {
    for (size_t p = 0; p < kParts; ++p) {
      const float scale = choice.scale * Steps::multiplier(choice.steps[p]);
      for (size_t i = p * kPart; i < (p + 1) * kPart; ++i) values[i] = scale * choice.levels[i];
    }
  }

  using Rows = BlockCodec<kWeights, Block, encodeBlock, decodeBlock>;

  // For levels that are chosen weight by weight. Parameters: d, then the steps.
  static void fit(std::span<const float> values, std::span<const float> weights,
                  std::span<float> parameters) {
    const Choice choice =
        chooseWeighted<Self>(values.data(), weights.empty() ? nullptr : weights.data());
    parameters[0] = choice.scale;
    for (size_t p = 0; p < kParts; ++p) parameters[1 + p] = float(choice.steps[p]);
  }

  static void round(const float* values, size_t index, std::span<const float> parameters,
                    uint8_t* codes, float* rounded) {
    const float scale = parameters[0] * Steps::multiplier(int(parameters[1 + index / kPart]));
    const int code = Levels::nearestCode(*values * inverseOf(scale));
    *codes = uint8_t(code);
    *rounded = scale * Levels::level(code);
  }

  static void pack(std::span<const float> parameters, std::span<const uint8_t> codes,
                   std::span<std::byte> bytes) {
    Choice choice;
    choice.scale = parameters[0];
    for (size_t p = 0; p < kParts; ++p) choice.steps[p] = int(parameters[1 + p]);
    for (size_t i = 0; i < kWeights; ++i) choice.levels[i] = Levels::level(codes[i]);
    Block block = {};
    Format::write(choice, block);
    std::memcpy(bytes.data(), &block, sizeof(block));
  }

  static constexpr Grid kGrid = {.block = kWeights,
                                 .vector = 1,
                                 .parameters = 1 + kParts,
                                 .toBasis = nullptr,
                                 .fromBasis = nullptr,
                                 .fit = fit,
                                 .round = round,
                                 .pack = pack};
};

}  // namespace bitloom::super_block

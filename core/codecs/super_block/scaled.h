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
#include <type_traits>

#include "core/block_codec.h"
#include "core/codecs/super_block/part_by_part.h"
#include "core/codecs/super_block/side_by_side.h"

namespace bitloom::super_block {

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

  static float topMultiplier() {
    return Steps::multiplier(Steps::kLowStep < 0 ? Steps::kLowStep : Steps::kHighStep);
  }

  // Lattices choose levels of neighbours together; other levels are searched in all parts at once.
  using Search = std::conditional_t<Levels::kSeparate, SideBySide<Format>, PartByPart<Format>>;

  static constexpr int kRefinements = 3;

  static Choice choose(const float* values, const float* weights) {
    Search search(values, weights);
    Choice best;  // nothing but zeros, for weights that are too small
    int reach = 1;
    float least = search.assign(best, reach);
    const auto compete = [&](float scale) {
      Choice choice;
      choice.scale = Format::stored(scale);
      const float error = search.assign(choice, reach);
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
    const auto refine = [&] {
      for (int round = 0; round < kRefinements; ++round) {
        if (!compete(search.refit(best))) break;
      }
    };
    refine();
    // Nothing is left but what rounding d costs: whose neighbour suits all parts better is luck.
    if (least < kRoundingLoss * energyOf<kWeights>(values, weights)) {
      const float middle = best.scale;
      reach = kFarReach;
      for (int away = 1; away <= kNeighbours; ++away) {
        compete(neighbourOf(middle, away));
        compete(neighbourOf(middle, -away));
      }
      refine();
    }
    search.setLevels(best);
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

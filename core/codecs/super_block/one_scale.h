// SPDX-License-Identifier: GPL-3.0-or-later
// The format (see scaled.h) of blocks with nothing but an fp16 scale and codes.
#pragma once
#include "core/codecs/super_block/scaled.h"

namespace bitloom::super_block {

// Layout: kWeights; kSigned; kTrials; Levels; Block with `scale` and `codes` (get, add).
template <typename Layout>
struct OneScale : HalfScale {
  static constexpr size_t kWeights = Layout::kWeights;
  static constexpr size_t kPart = Layout::kWeights;
  static constexpr bool kSigned = Layout::kSigned;
  static constexpr Trials kTrials = Layout::kTrials;
  static constexpr std::span<const float> kStarts = kFineStarts;
  using Steps = EvenSteps<1, 1>;
  using Levels = typename Layout::Levels;
  using Block = typename Layout::Block;
  using Choice = ScaledChoice<kWeights, kPart>;

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    choice.steps[0] = 1;
    uint8_t codes[kWeights] = {};
    block.codes.take(codes);
    setLevels<Levels>(codes, choice.levels);
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    uint8_t codes[kWeights];
    setCodes<Levels>(choice.levels, codes);
    block.codes.put(codes);
  }
};

}  // namespace bitloom::super_block

// SPDX-License-Identifier: GPL-3.0-or-later
// Q3_K, 110 bytes for 256 weights: 32 bytes of high bits | 64 bytes of low bit pairs | 16 six-bit
// scales in 12 bytes | fp16 d. weight = d · (scale − 32) · (code − 4), a scale for each 16 weights.
// Scales: 16 low nibbles (0 … 7 in the low halves of 8 bytes, 8 … 15 in the high halves), then
// bit pairs (four planes of 4).
#include "core/codecs/super_block/levels.h"
#include "core/codecs/super_block/planes.h"
#include "core/codecs/super_block/scaled.h"

namespace bitloom {
namespace {

struct Format : super_block::HalfScale {
  static constexpr size_t kWeights = 256;
  static constexpr size_t kPart = 16;
  static constexpr bool kSigned = true;
  static constexpr super_block::Trials kTrials = {0.72f, 1.12f, 11};
  static constexpr std::span<const float> kStarts = super_block::kFineStarts;
  using Steps = super_block::EvenSteps<-32, 31>;
  using Levels = super_block::Even<4, 7>;
  using Choice = super_block::ScaledChoice<kWeights, kPart>;

  struct Block {
    super_block::Planes<1, 32, kWeights> high;
    super_block::Planes<2, 32, kWeights> low;
    super_block::Planes<4, 8, 16> scaleLow;
    super_block::Planes<2, 4, 16> scaleHigh;
    uint16_t scale;
  };
  static_assert(sizeof(Block) == 110);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    for (size_t p = 0; p < choice.steps.size(); ++p) {
      choice.steps[p] = (block.scaleLow.get(p) | block.scaleHigh.get(p) << 4) + Steps::kLowStep;
    }
    uint8_t codes[kWeights] = {};
    block.low.take(codes);
    block.high.take(codes, 2);
    super_block::setLevels<Levels>(codes, choice.levels);
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    for (size_t p = 0; p < choice.steps.size(); ++p) {
      block.scaleLow.add(p, choice.steps[p] - Steps::kLowStep);
      block.scaleHigh.add(p, (choice.steps[p] - Steps::kLowStep) >> 4);
    }
    uint8_t codes[kWeights];
    super_block::setCodes<Levels>(choice.levels, codes);
    block.low.put(codes);
    block.high.put(codes, 2);
  }
};

using Q3_K = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_q3_k;
const Codec codec_q3_k = {
    .name = "q3_k",
    .title = "Q3_K",
    .summary = "3-bit codes; blocks of 256 weights with a 6-bit scale per 16.",
    .fallback = "q4_0",
    .bits = 3.4375,
    .rowBytes = Q3_K::Rows::rowBytes,
    .encode = Q3_K::Rows::encode,
    .decode = Q3_K::Rows::decode,
    .grid = &Q3_K::kGrid,
};

}  // namespace bitloom

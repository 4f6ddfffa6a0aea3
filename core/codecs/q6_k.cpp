// SPDX-License-Identifier: GPL-3.0-or-later
// Q6_K, 210 bytes for 256 weights: 128 bytes of low nibbles | 64 bytes of high bit pairs | 16
// signed scales | fp16 d. weight = d · scale · (code − 32), a scale for each 16 weights.
#include "core/codecs/super_block/levels.h"
#include "core/codecs/super_block/planes.h"
#include "core/codecs/super_block/scaled.h"

namespace bitloom {
namespace {

struct Format : super_block::HalfScale {
  static constexpr size_t kWeights = 256;
  static constexpr size_t kPart = 16;
  static constexpr bool kSigned = true;
  static constexpr super_block::Trials kTrials = {0.86f, 1.03f, 15, false};
  static constexpr std::span<const float> kStarts = super_block::kFineStarts;
  using Steps = super_block::EvenSteps<-128, 127>;
  using Levels = super_block::Even<32, 63>;
  using Choice = super_block::ScaledChoice<kWeights, kPart>;

  struct Block {
    super_block::Planes<4, 64, kWeights> low;
    super_block::Planes<2, 32, kWeights> high;
    int8_t scales[kWeights / kPart];
    uint16_t scale;
  };
  static_assert(sizeof(Block) == 210);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    std::copy_n(block.scales, choice.steps.size(), choice.steps.begin());
    uint8_t codes[kWeights] = {};
    block.low.take(codes);
    block.high.take(codes, 4);
    super_block::setLevels<Levels>(codes, choice.levels);
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    for (size_t p = 0; p < choice.steps.size(); ++p) block.scales[p] = int8_t(choice.steps[p]);
    uint8_t codes[kWeights];
    super_block::setCodes<Levels>(choice.levels, codes);
    block.low.put(codes);
    block.high.put(codes, 4);
  }
};

using Q6_K = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_q6_k;
const Codec codec_q6_k = {
    .name = "q6_k",
    .title = "Q6_K",
    .summary = "6-bit codes; blocks of 256 weights with an 8-bit scale per 16.",
    .fallback = "q8_0",
    .bits = 6.5625,
    .rowBytes = Q6_K::Rows::rowBytes,
    .encode = Q6_K::Rows::encode,
    .decode = Q6_K::Rows::decode,
    .grid = &Q6_K::kGrid,
};

}  // namespace bitloom

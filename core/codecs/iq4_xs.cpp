// SPDX-License-Identifier: GPL-3.0-or-later
// IQ4_XS, 136 bytes for 256 weights: fp16 d | 2 bytes of high bit pairs of eight scales | 4 bytes
// of their low nibbles | 128 bytes of nibbles. weight = d · (scale − 32) · table[code], a scale for
// each 32 weights.
#include "core/codecs/iq/uneven.h"
#include "core/codecs/super_block/planes.h"
#include "core/codecs/super_block/scaled.h"

namespace bitloom {
namespace {

struct Format : super_block::HalfScale {
  static constexpr size_t kWeights = 256;
  static constexpr size_t kPart = 32;
  static constexpr bool kSigned = true;
  static constexpr super_block::Trials kTrials = {0.8f, 1.12f, 11};
  static constexpr std::span<const float> kStarts = super_block::kFineStarts;
  using Steps = super_block::EvenSteps<-32, 31>;
  using Levels = iq::Uneven;
  using Choice = super_block::ScaledChoice<kWeights, kPart>;

  struct Block {
    uint16_t scale;
    super_block::Planes<2, 1, 8> scaleHigh;
    super_block::Planes<4, 1, 8> scaleLow;
    super_block::Planes<4, 16, kWeights> codes;
  };
  static_assert(sizeof(Block) == 136);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    for (size_t p = 0; p < choice.steps.size(); ++p) {
      choice.steps[p] = (block.scaleLow.get(p) | block.scaleHigh.get(p) << 4) + Steps::kLowStep;
    }
    uint8_t codes[kWeights] = {};
    block.codes.take(codes);
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
    block.codes.put(codes);
  }
};

using IQ4_XS = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_iq4_xs;
const Codec codec_iq4_xs = {
    .name = "iq4_xs",
    .title = "IQ4_XS",
    .summary = "4-bit codes of uneven levels; blocks of 256 weights with a 6-bit scale per 32.",
    .fallback = "iq4_nl",
    .bits = 4.25,
    .rowBytes = IQ4_XS::Rows::rowBytes,
    .encode = IQ4_XS::Rows::encode,
    .decode = IQ4_XS::Rows::decode,
    .grid = &IQ4_XS::kGrid,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Q2_K, 84 bytes for 256 weights: 16 bytes with a scale (low nibble) and a minimum (high) | 64
// bytes of bit pairs | fp16 d | fp16 dmin. weight = d · scale · code − dmin · minimum, a scale and
// a minimum for each 16 weights.
#include "core/codecs/super_block/offset.h"
#include "core/codecs/super_block/planes.h"

namespace bitloom {
namespace {

struct Format {
  static constexpr size_t kWeights = 256;
  static constexpr size_t kPart = 16;
  static constexpr int kTopCode = 3;
  static constexpr int kTopStep = 15;
  static constexpr int kTrials = 7;
  using Levels = super_block::Even<0, kTopCode>;
  using Choice = super_block::OffsetChoice<kWeights, kPart>;

  struct Block {
    super_block::Planes<4, 16, 32> parts;
    super_block::Planes<2, 32, kWeights> codes;
    uint16_t scale;
    uint16_t minimum;
  };
  static_assert(sizeof(Block) == 84);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    choice.minimum = halfToFloat(block.minimum);
    for (size_t p = 0; p < choice.scales.size(); ++p) {
      choice.scales[p] = block.parts.get(p);
      choice.minima[p] = block.parts.get(p + 16);
    }
    uint8_t codes[kWeights] = {};
    block.codes.take(codes);
    super_block::setLevels<Levels>(codes, choice.levels);
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    block.minimum = floatToHalfClamped(choice.minimum);
    for (size_t p = 0; p < choice.scales.size(); ++p) {
      block.parts.add(p, choice.scales[p]);
      block.parts.add(p + 16, choice.minima[p]);
    }
    uint8_t codes[kWeights];
    super_block::setCodes<Levels>(choice.levels, codes);
    block.codes.put(codes);
  }
};

using Q2_K = super_block::Offset<Format>;

}  // namespace

extern const Codec codec_q2_k;
const Codec codec_q2_k = {
    .name = "q2_k",
    .title = "Q2_K",
    .summary = "2-bit codes; blocks of 256 weights with a 4-bit scale and minimum per 16.",
    .fallback = "q4_0",
    .bits = 2.625,
    .rowBytes = Q2_K::Rows::rowBytes,
    .encode = Q2_K::Rows::encode,
    .decode = Q2_K::Rows::decode,
    .grid = &Q2_K::kGrid,
};

}  // namespace bitloom

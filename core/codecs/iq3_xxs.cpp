// SPDX-License-Identifier: GPL-3.0-or-later
// IQ3_XXS, 98 bytes for 256 weights: fp16 d | 64 bytes that number a point of four magnitudes each
// | a little-endian word for each 32 weights: four times seven signs (an even number of eight are
// negative) and four bits of scale. weight = d · (2 scale + 1)/4 · sign · magnitude.
#include "core/codecs/iq/shapes.h"

namespace bitloom {
namespace {

struct Format : iq::Family<32> {
  using Steps = super_block::EvenSteps<0, 15, 0.5f, 0.25f>;
  using Levels = iq::Signed<iq::Octal256, true>;

  struct Block {
    uint16_t scale;
    uint8_t points[64];
    iq::SignsAndScale rest[8];
  };
  static_assert(sizeof(Block) == 98);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    for (size_t p = 0; p < 8; ++p) choice.steps[p] = block.rest[p].scale();
    for (size_t v = 0; v < 64; ++v) {
      const uint32_t signs = block.rest[v / 8].signs(v / 2 % 4);
      Levels::read(block.points[v], signs, v % 2 * 4, &choice.levels[4 * v]);
    }
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    for (size_t p = 0; p < 8; ++p) block.rest[p].addScale(choice.steps[p]);
    for (size_t v = 0; v < 64; ++v) {
      const float* levels = &choice.levels[4 * v];
      block.points[v] = uint8_t(Levels::indexOf(levels));
      if (v % 2 == 0) block.rest[v / 8].addSigns(v / 2 % 4, Levels::signsOf(levels));
    }
  }
};

using IQ3_XXS = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_iq3_xxs;
const Codec codec_iq3_xxs = {
    .name = "iq3_xxs",
    .title = "IQ3_XXS",
    .summary = "Points of four weights from a set of 256; a 4-bit scale per 32 weights.",
    .fallback = "iq4_nl",
    .bits = 3.0625,
    .rowBytes = IQ3_XXS::Rows::rowBytes,
    .encode = IQ3_XXS::Rows::encode,
    .decode = IQ3_XXS::Rows::decode,
};

}  // namespace bitloom

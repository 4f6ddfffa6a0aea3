// SPDX-License-Identifier: GPL-3.0-or-later
// IQ2_XXS, 66 bytes for 256 weights: fp16 d | 8 bytes for each 32 weights: four bytes that number a
// point of eight magnitudes each, then a little-endian word of four times seven signs (an even
// number of eight are negative) and four bits of scale. weight = d · (2 scale + 1)/8 · sign ·
// magnitude.
#include "core/codecs/iq/shapes.h"

namespace bitloom {
namespace {

struct Format : iq::Family<32> {
  using Steps = super_block::EvenSteps<0, 15, 0.25f, 0.125f>;
  using Levels = iq::Signed<iq::Ternary<256, iq::kPoints256>, true>;

  struct Block {
    uint16_t scale;
    struct {
      uint8_t points[4];
      iq::SignsAndScale rest;
    } parts[8];
  };
  static_assert(sizeof(Block) == 66);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    for (size_t p = 0; p < 8; ++p) {
      const auto& part = block.parts[p];
      choice.steps[p] = part.rest.scale();
      for (size_t v = 0; v < 4; ++v) {
        Levels::read(part.points[v], part.rest.signs(v), 0, &choice.levels[32 * p + 8 * v]);
      }
    }
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    for (size_t p = 0; p < 8; ++p) {
      auto& part = block.parts[p];
      part.rest.addScale(choice.steps[p]);
      for (size_t v = 0; v < 4; ++v) {
        const float* levels = &choice.levels[32 * p + 8 * v];
        part.points[v] = uint8_t(Levels::indexOf(levels));
        part.rest.addSigns(v, Levels::signsOf(levels));
      }
    }
  }
};

using IQ2_XXS = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_iq2_xxs;
const Codec codec_iq2_xxs = {
    .name = "iq2_xxs",
    .title = "IQ2_XXS",
    .summary = "Points of eight weights from a set of 256; a 4-bit scale per 32 weights.",
    .fallback = "iq4_nl",
    .bits = 2.0625,
    .rowBytes = IQ2_XXS::Rows::rowBytes,
    .encode = IQ2_XXS::Rows::encode,
    .decode = IQ2_XXS::Rows::decode,
};

}  // namespace bitloom

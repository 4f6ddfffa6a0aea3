// SPDX-License-Identifier: GPL-3.0-or-later
// IQ2_XS, 74 bytes for 256 weights: fp16 d | 32 little-endian words: the number of a point of eight
// magnitudes in nine bits, then seven signs (an even number of eight are negative) | 16 nibbles of
// scales. weight = d · (2 scale + 1)/8 · sign · magnitude, a scale for each 16 weights.
#include "core/codecs/iq/shapes.h"

namespace bitloom {
namespace {

struct Format : iq::Family<16> {
  using Steps = super_block::EvenSteps<0, 15, 0.25f, 0.125f>;
  using Levels = iq::Signed<iq::Ternary<512, iq::kPoints512>, true>;

  struct Block {
    uint16_t scale;
    uint16_t points[32];
    super_block::Planes<4, 1, 16> scales;
  };
  static_assert(sizeof(Block) == 74);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    for (size_t p = 0; p < 16; ++p) choice.steps[p] = block.scales.get(p);
    for (size_t v = 0; v < 32; ++v) {
      Levels::read(block.points[v] & 511, block.points[v] >> 9, 0, &choice.levels[8 * v]);
    }
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    for (size_t p = 0; p < 16; ++p) block.scales.add(p, choice.steps[p]);
    for (size_t v = 0; v < 32; ++v) {
      const float* levels = &choice.levels[8 * v];
      block.points[v] = uint16_t(Levels::indexOf(levels) | Levels::signsOf(levels) << 9);
    }
  }
};

using IQ2_XS = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_iq2_xs;
const Codec codec_iq2_xs = {
    .name = "iq2_xs",
    .title = "IQ2_XS",
    .summary = "Points of eight weights from a set of 512; a 4-bit scale per 16 weights.",
    .fallback = "iq4_nl",
    .bits = 2.3125,
    .rowBytes = IQ2_XS::Rows::rowBytes,
    .encode = IQ2_XS::Rows::encode,
    .decode = IQ2_XS::Rows::decode,
};

}  // namespace bitloom

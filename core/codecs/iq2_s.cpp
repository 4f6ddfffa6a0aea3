// SPDX-License-Identifier: GPL-3.0-or-later
// IQ2_S, 82 bytes for 256 weights: fp16 d | 32 bytes that number a point of eight magnitudes each |
// 32 bytes of signs | two more bits for each number | 16 nibbles of scales.
// weight = d · (2 scale + 1)/8 · sign · magnitude, a scale for each 16 weights.
#include "core/codecs/iq/shapes.h"

namespace bitloom {
namespace {

struct Format : iq::Family<16> {
  using Steps = super_block::EvenSteps<0, 15, 0.25f, 0.125f>;
  using Levels = iq::Signed<iq::Ternary<1024, iq::kPoints1024>, false>;

  struct Block {
    uint16_t scale;
    uint8_t points[32];
    uint8_t signs[32];
    super_block::Planes<2, 1, 32> high;
    super_block::Planes<4, 1, 16> scales;
  };
  static_assert(sizeof(Block) == 82);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    for (size_t p = 0; p < 16; ++p) choice.steps[p] = block.scales.get(p);
    for (size_t v = 0; v < 32; ++v) {
      const int point = block.points[v] | block.high.get(v) << 8;
      Levels::read(size_t(point), block.signs[v], 0, &choice.levels[8 * v]);
    }
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    for (size_t p = 0; p < 16; ++p) block.scales.add(p, choice.steps[p]);
    for (size_t v = 0; v < 32; ++v) {
      const float* levels = &choice.levels[8 * v];
      const size_t point = Levels::indexOf(levels);
      block.points[v] = uint8_t(point);
      block.high.add(v, int(point >> 8));
      block.signs[v] = uint8_t(Levels::signsOf(levels));
    }
  }
};

using IQ2_S = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_iq2_s;
const Codec codec_iq2_s = {
    .name = "iq2_s",
    .title = "IQ2_S",
    .summary =
        "Points of eight weights from a set of 1024, free signs; a 4-bit scale per 16 weights.",
    .fallback = "iq4_nl",
    .bits = 2.5625,
    .rowBytes = IQ2_S::Rows::rowBytes,
    .encode = IQ2_S::Rows::encode,
    .decode = IQ2_S::Rows::decode,
};

}  // namespace bitloom

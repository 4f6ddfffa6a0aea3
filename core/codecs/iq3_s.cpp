// SPDX-License-Identifier: GPL-3.0-or-later
// IQ3_S, 110 bytes for 256 weights: fp16 d | 64 bytes that number a point of four magnitudes each |
// a ninth bit for each number | 32 bytes of signs | eight nibbles of scales.
// weight = d · (2 scale + 1) · sign · magnitude, a scale for each 32 weights.
#include "core/codecs/iq/shapes.h"

namespace bitloom {
namespace {

struct Format : iq::Family<32> {
  using Steps = super_block::EvenSteps<0, 15, 2.0f, 1.0f>;
  using Levels = iq::Signed<iq::Octal512, false>;

  struct Block {
    uint16_t scale;
    uint8_t points[64];
    super_block::Planes<1, 1, 64> high;
    uint8_t signs[32];
    super_block::Planes<4, 1, 8> scales;
  };
  static_assert(sizeof(Block) == 110);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    for (size_t p = 0; p < 8; ++p) choice.steps[p] = block.scales.get(p);
    for (size_t v = 0; v < 64; ++v) {
      const int point = block.points[v] | block.high.get(v) << 8;
      Levels::read(size_t(point), block.signs[v / 2], v % 2 * 4, &choice.levels[4 * v]);
    }
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    for (size_t p = 0; p < 8; ++p) block.scales.add(p, choice.steps[p]);
    for (size_t v = 0; v < 64; ++v) {
      const float* levels = &choice.levels[4 * v];
      const size_t point = Levels::indexOf(levels);
      block.points[v] = uint8_t(point);
      block.high.add(v, int(point >> 8));
      if (v % 2 == 0) block.signs[v / 2] = uint8_t(Levels::signsOf(levels));
    }
  }
};

using IQ3_S = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_iq3_s;
const Codec codec_iq3_s = {
    .name = "iq3_s",
    .title = "IQ3_S",
    .summary =
        "Points of four weights from a set of 512, free signs; a 4-bit scale per 32 weights.",
    .fallback = "iq4_nl",
    .bits = 3.4375,
    .rowBytes = IQ3_S::Rows::rowBytes,
    .encode = IQ3_S::Rows::encode,
    .decode = IQ3_S::Rows::decode,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// IQ1_S, 50 bytes for 256 weights: fp16 d | 32 bytes that number a point of eight weights each | a
// little-endian word for each 32 weights: three more bits for each of four numbers, three bits of
// scale, the sign of the shift. weight = d · (2 scale + 1) · (coordinate ± 1/8).
#include "core/codecs/iq/shapes.h"

namespace bitloom {
namespace {

struct Format : iq::Family<32> {
  static constexpr super_block::Trials kTrials = {0.9f, 2.2f, 10};
  using Steps = super_block::EvenSteps<0, 7, 2.0f, 1.0f>;
  using Levels = iq::Shifted<iq::Balanced, 32>;

  struct Block {
    uint16_t scale;
    uint8_t points[32];
    uint16_t rest[8];
  };
  static_assert(sizeof(Block) == 50);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    for (size_t p = 0; p < 8; ++p) choice.steps[p] = block.rest[p] >> 12 & 7;
    for (size_t v = 0; v < 32; ++v) {
      const int rest = block.rest[v / 4];
      const int point = block.points[v] | (rest >> (v % 4 * 3) & 7) << 8;
      const float shift = rest & 0x8000 ? -Levels::kShift : Levels::kShift;
      Levels::read(size_t(point), shift, &choice.levels[8 * v]);
    }
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    for (size_t v = 0; v < 32; ++v) {
      const float* levels = &choice.levels[8 * v];
      const size_t point = Levels::indexOf(levels);
      block.points[v] = uint8_t(point);
      uint16_t& rest = block.rest[v / 4];
      if (v % 4 == 0)
        rest = uint16_t(choice.steps[v / 4] << 12 | (Levels::shiftOf(levels) < 0) << 15);
      rest = uint16_t(rest | point >> 8 << (v % 4 * 3));
    }
  }
};

using IQ1_S = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_iq1_s;
const Codec codec_iq1_s = {
    .name = "iq1_s",
    .title = "IQ1_S",
    .summary = "Points of eight weights from a set of 2048; a 3-bit scale per 32 weights.",
    .fallback = "iq4_nl",
    .bits = 1.5625,
    .rowBytes = IQ1_S::Rows::rowBytes,
    .encode = IQ1_S::Rows::encode,
    .decode = IQ1_S::Rows::decode,
};

}  // namespace bitloom

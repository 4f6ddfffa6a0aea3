// SPDX-License-Identifier: GPL-3.0-or-later
// IQ1_M, 56 bytes for 256 weights: 32 bytes that number a point of eight weights each | a nibble
// for each: three more bits of the number and the sign of the shift | four little-endian words,
// each four three-bit scales and, on top, four bits of the fp16 d, lowest first. weight = d · (2
// scale + 1) · (coordinate ± 1/8), a scale for each 16 weights.
#include "core/codecs/iq/shapes.h"

namespace bitloom {
namespace {

struct Format : iq::Family<16> {
  static constexpr super_block::Trials kTrials = {0.9f, 2.0f, 10};
  using Steps = super_block::EvenSteps<0, 7, 2.0f, 1.0f>;
  using Levels = iq::Shifted<iq::Balanced, 8>;

  struct Block {
    uint8_t points[32];
    super_block::Planes<4, 1, 32> rest;
    uint16_t scales[4];
  };
  static_assert(sizeof(Block) == 56);

  static void read(const Block& block, Choice& choice) {
    uint32_t scale = 0;
    for (size_t i = 0; i < 4; ++i) scale |= uint32_t(block.scales[i] >> 12) << (4 * i);
    choice.scale = halfToFloat(uint16_t(scale));
    for (size_t p = 0; p < 16; ++p) choice.steps[p] = block.scales[p / 4] >> (p % 4 * 3) & 7;
    for (size_t v = 0; v < 32; ++v) {
      const int rest = block.rest.get(v);
      const float shift = rest & 8 ? -Levels::kShift : Levels::kShift;
      Levels::read(size_t(block.points[v] | (rest & 7) << 8), shift, &choice.levels[8 * v]);
    }
  }

  static void write(const Choice& choice, Block& block) {
    const uint32_t scale = floatToHalfClamped(choice.scale);
    for (size_t i = 0; i < 4; ++i) block.scales[i] = uint16_t((scale >> (4 * i) & 15) << 12);
    for (size_t p = 0; p < 16; ++p) {
      uint16_t& word = block.scales[p / 4];
      word = uint16_t(word | choice.steps[p] << (p % 4 * 3));
    }
    for (size_t v = 0; v < 32; ++v) {
      const float* levels = &choice.levels[8 * v];
      const size_t point = Levels::indexOf(levels);
      block.points[v] = uint8_t(point);
      block.rest.add(v, int(point >> 8) | (Levels::shiftOf(levels) < 0) << 3);
    }
  }
};

using IQ1_M = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_iq1_m;
const Codec codec_iq1_m = {
    .name = "iq1_m",
    .title = "IQ1_M",
    .summary = "Points of eight weights from a set of 2048; a 3-bit scale per 16 weights.",
    .fallback = "iq4_nl",
    .bits = 1.75,
    .rowBytes = IQ1_M::Rows::rowBytes,
    .encode = IQ1_M::Rows::encode,
    .decode = IQ1_M::Rows::decode,
};

}  // namespace bitloom

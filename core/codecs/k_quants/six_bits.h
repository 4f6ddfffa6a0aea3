// SPDX-License-Identifier: GPL-3.0-or-later
// What Q4_K and Q5_K share: eight parts of 32 weights with six-bit scales and minima in 12 bytes.
// The first four pairs lie in the low six bits of bytes 0 … 3 (scales) and 4 … 7 (minima); of the
// others, bytes 8 … 11 hold low nibbles (scales low, minima high) and the two top bits of bytes
// 0 … 7 the rest.
#pragma once
#include "core/codecs/super_block/offset.h"
#include "core/codecs/super_block/planes.h"

namespace bitloom::k_quants {

struct SixBits {
  uint8_t bytes[12];

  // `first`: 0 for scales, 4 for minima.
  int get(size_t part, size_t first) const {
    if (part < 4) return bytes[part + first] & 63;
    return (bytes[part + 4] >> first & 15) | bytes[part - 4 + first] >> 6 << 4;
  }
  void add(size_t part, size_t first, int value) {
    if (part < 4) {
      bytes[part + first] = uint8_t(bytes[part + first] | value);
      return;
    }
    bytes[part + 4] = uint8_t(bytes[part + 4] | (value & 15) << first);
    bytes[part - 4 + first] = uint8_t(bytes[part - 4 + first] | value >> 4 << 6);
  }
};

// Codes: put(codes), take(codes) as planes.h, and kTopCode.
template <typename Codes>
struct SixBitFormat {
  static constexpr size_t kWeights = 256;
  static constexpr size_t kPart = 32;
  static constexpr int kTopCode = Codes::kTopCode;
  static constexpr int kTopStep = 63;
  static constexpr int kTrials = 7;
  using Levels = super_block::Even<0, kTopCode>;
  using Choice = super_block::OffsetChoice<kWeights, kPart>;

  struct Block {
    uint16_t scale;
    uint16_t minimum;
    SixBits parts;
    Codes codes;
  };

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    choice.minimum = halfToFloat(block.minimum);
    for (size_t p = 0; p < choice.scales.size(); ++p) {
      choice.scales[p] = block.parts.get(p, 0);
      choice.minima[p] = block.parts.get(p, 4);
    }
    uint8_t codes[kWeights] = {};
    block.codes.take(codes);
    super_block::setLevels<Levels>(codes, choice.levels);
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    block.minimum = floatToHalfClamped(choice.minimum);
    for (size_t p = 0; p < choice.scales.size(); ++p) {
      block.parts.add(p, 0, choice.scales[p]);
      block.parts.add(p, 4, choice.minima[p]);
    }
    uint8_t codes[kWeights];
    super_block::setCodes<Levels>(choice.levels, codes);
    block.codes.put(codes);
  }
};

}  // namespace bitloom::k_quants

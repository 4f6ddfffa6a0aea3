// SPDX-License-Identifier: GPL-3.0-or-later
// TQ1_0, 54 bytes for 256 weights: 48 + 4 bytes of base-3 digits | fp16 d. weight = d · (digit −
// 1).
//
// A byte holds five digits as the fraction 0.abcde in base 3, rounded up to 1/256, so that
// multiplying by three pushes one digit after the other over its top. Digit n of byte b of the
// first 32 bytes is weight 32·n + b, of the next 16 bytes weight 160 + 16·n + b, of the last 4
// bytes (four digits each) weight 240 + 4·n + b.
#include "core/codecs/super_block/levels.h"
#include "core/codecs/super_block/scaled.h"

namespace bitloom {
namespace {

struct Digits {
  uint8_t bytes[52];

  struct Place {
    size_t byte;
    int digit;
  };
  static Place placeOf(size_t i) {
    if (i < 160) return {i % 32, int(i / 32)};
    if (i < 240) return {32 + i % 16, int((i - 160) / 16)};
    return {48 + i % 4, int((i - 240) / 4)};
  }
  static constexpr int kPowers[] = {1, 3, 9, 27, 81, 243};

  int get(size_t i) const {
    const Place place = placeOf(i);
    const int fraction = bytes[place.byte] * kPowers[place.digit] & 255;
    return fraction * 3 >> 8;
  }
  // Whole bytes at once: rounding up needs all digits.
  void put(const float* levels) {
    int values[52] = {};
    for (size_t i = 0; i < 256; ++i) {
      const Place place = placeOf(i);
      values[place.byte] += (int(levels[i]) + 1) * kPowers[4 - place.digit];
    }
    for (size_t b = 0; b < 52; ++b) bytes[b] = uint8_t((values[b] * 256 + 242) / 243);
  }
};

struct Format : super_block::HalfScale {
  static constexpr size_t kWeights = 256;
  static constexpr size_t kPart = 256;
  static constexpr bool kSigned = false;
  static constexpr super_block::Trials kTrials = super_block::kTernaryTrials;
  static constexpr std::span<const float> kStarts = super_block::kFineStarts;
  using Steps = super_block::EvenSteps<1, 1>;
  using Levels = super_block::Even<1, 2>;
  using Choice = super_block::ScaledChoice<kWeights, kPart>;

  struct Block {
    Digits digits;
    uint16_t scale;
  };
  static_assert(sizeof(Block) == 54);

  static void read(const Block& block, Choice& choice) {
    choice.scale = halfToFloat(block.scale);
    choice.steps[0] = 1;
    for (size_t i = 0; i < kWeights; ++i) choice.levels[i] = Levels::level(block.digits.get(i));
  }

  static void write(const Choice& choice, Block& block) {
    block.scale = floatToHalfClamped(choice.scale);
    block.digits.put(choice.levels.data());
  }
};

using TQ1_0 = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_tq1_0;
const Codec codec_tq1_0 = {
    .name = "tq1_0",
    .title = "TQ1_0",
    .summary = "Ternary weights in base 3, one scale per 256; for models trained ternary.",
    .fallback = "q4_0",
    .bits = 1.6875,
    .rowBytes = TQ1_0::Rows::rowBytes,
    .encode = TQ1_0::Rows::encode,
    .decode = TQ1_0::Rows::decode,
    .forTrained = true,
};

}  // namespace bitloom

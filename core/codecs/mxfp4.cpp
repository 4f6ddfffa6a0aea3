// SPDX-License-Identifier: GPL-3.0-or-later
// MXFP4, 17 bytes for 32 weights: exponent byte e | 16 bytes of E2M1 nibbles. weight = 2^(e − 127)
// times the number, of which levels hold the double (OCP Microscaling Formats 1.0).
#include "core/codecs/fp4/e2m1.h"
#include "core/codecs/super_block/planes.h"
#include "core/codecs/super_block/scaled.h"

namespace bitloom {
namespace {

struct Exponents {
  static constexpr int kLowStep = 0;
  static constexpr int kHighStep = 254;
  // 2^(step − 128); the two least are subnormal.
  static float multiplier(int step) {
    const uint32_t bits = step < 2 ? 0x200000u << step : uint32_t(step - 1) << 23;
    return std::bit_cast<float>(bits);
  }
  static int stepOf(float ratio) {
    const uint32_t bits = std::bit_cast<uint32_t>(ratio * 0x1.6a09e6p0f);  // √2 rounds the exponent
    return ratio > 0 ? std::clamp(int(bits >> 23) + 1, kLowStep, kHighStep) : kLowStep;
  }
};

struct Format : super_block::UnitScale {
  static constexpr size_t kWeights = 32;
  static constexpr size_t kPart = 32;
  static constexpr bool kSigned = false;
  static constexpr super_block::Trials kTrials = {0.6f, 1.15f, 12};
  static constexpr std::span<const float> kStarts = super_block::kFineStarts;
  using Steps = Exponents;
  using Levels = fp4::E2M1;
  using Choice = super_block::ScaledChoice<kWeights, kPart>;

  struct Block {
    uint8_t scales[kWeights / kPart];
    super_block::Planes<4, 16, kWeights> codes;
  };
  static_assert(sizeof(Block) == 17);

  static void read(const Block& block, Choice& choice) {
    choice.scale = 1;
    std::copy_n(block.scales, choice.steps.size(), choice.steps.begin());
    uint8_t codes[kWeights] = {};
    block.codes.take(codes);
    super_block::setLevels<Levels>(codes, choice.levels);
  }

  static void write(const Choice& choice, Block& block) {
    for (size_t p = 0; p < choice.steps.size(); ++p) block.scales[p] = uint8_t(choice.steps[p]);
    uint8_t codes[kWeights];
    super_block::setCodes<Levels>(choice.levels, codes);
    block.codes.put(codes);
  }
};

using MXFP4 = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_mxfp4;
const Codec codec_mxfp4 = {
    .name = "mxfp4",
    .title = "MXFP4",
    .summary = "4-bit floats with a power of two per 32 weights.",
    .fallback = "q4_0",
    .bits = 4.25,
    .rowBytes = MXFP4::Rows::rowBytes,
    .encode = MXFP4::Rows::encode,
    .decode = MXFP4::Rows::decode,
    .grid = &MXFP4::kGrid,
    .forTrained = true,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// NVFP4 as GGUF holds it, 36 bytes for 64 weights: four scale bytes | 32 bytes of E2M1 nibbles,
// eight bytes for each 16 weights. weight = scale · number, of which levels hold the double; a
// scale is an unsigned E4M3 (bias 7, top 448; 0x7F stands for 0). There is no scale of the whole
// tensor.
#include "core/codecs/fp4/e2m1.h"
#include "core/codecs/super_block/planes.h"
#include "core/codecs/super_block/scaled.h"

namespace bitloom {
namespace {

struct Scales {
  static constexpr int kLowStep = 0;
  static constexpr int kHighStep = 0x7e;
  static float multiplier(int step) {
    const int code = step & 0x7f;
    if (code == 0x7f) return 0;
    const int exponent = code >> 3;
    const float mantissa = float(code & 7) + (exponent > 0 ? 8.0f : 0.0f);
    const int power = std::max(exponent, 1) - 11;  // mantissa · 2^(exponent − 10), halved
    return mantissa * std::bit_cast<float>(uint32_t(127 + power) << 23);
  }
  // The largest step that is not above the ratio; the encoder tries its neighbours.
  static int stepOf(float ratio) {
    int step = 0;
    for (int bit = 64; bit > 0; bit /= 2) {
      if (step + bit <= kHighStep && multiplier(step + bit) <= ratio) step += bit;
    }
    return step;
  }
};

struct Format : super_block::UnitScale {
  static constexpr size_t kWeights = 64;
  static constexpr size_t kPart = 16;
  static constexpr bool kSigned = false;
  static constexpr super_block::Trials kTrials = {0.6f, 1.15f, 12};
  static constexpr std::span<const float> kStarts = super_block::kFineStarts;
  using Steps = Scales;
  using Levels = fp4::E2M1;
  using Choice = super_block::ScaledChoice<kWeights, kPart>;

  struct Block {
    uint8_t scales[kWeights / kPart];
    super_block::Planes<4, 8, kWeights> codes;
  };
  static_assert(sizeof(Block) == 36);

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

using NVFP4 = super_block::Scaled<Format>;

}  // namespace

extern const Codec codec_nvfp4;
const Codec codec_nvfp4 = {
    .name = "nvfp4",
    .title = "NVFP4",
    .summary = "4-bit floats with an 8-bit float as the scale of each 16 weights.",
    .fallback = "mxfp4",
    .bits = 4.5,
    .rowBytes = NVFP4::Rows::rowBytes,
    .encode = NVFP4::Rows::encode,
    .decode = NVFP4::Rows::decode,
    .grid = &NVFP4::kGrid,
    .forTrained = true,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// TQ2_0, 66 bytes for 256 weights: 64 bytes of bit pairs | fp16 d. weight = d · (code − 1). Codes
// are ternary by intention, although a fourth exists (it decodes to 2 d).
#include "core/codecs/super_block/levels.h"
#include "core/codecs/super_block/one_scale.h"
#include "core/codecs/super_block/planes.h"

namespace bitloom {
namespace {

struct Layout {
  static constexpr size_t kWeights = 256;
  static constexpr bool kSigned = false;
  static constexpr super_block::Trials kTrials = super_block::kTernaryTrials;
  using Levels = super_block::Even<1, 2>;

  struct Block {
    super_block::Planes<2, 32, kWeights> codes;
    uint16_t scale;
  };
  static_assert(sizeof(Block) == 66);
};

using TQ2_0 = super_block::Scaled<super_block::OneScale<Layout>>;

}  // namespace

extern const Codec codec_tq2_0;
const Codec codec_tq2_0 = {
    .name = "tq2_0",
    .title = "TQ2_0",
    .summary = "Ternary weights in 2 bits each, one scale per 256; for models trained ternary.",
    .fallback = "q4_0",
    .bits = 2.0625,
    .rowBytes = TQ2_0::Rows::rowBytes,
    .encode = TQ2_0::Rows::encode,
    .decode = TQ2_0::Rows::decode,
    .forTrained = true,
};

}  // namespace bitloom

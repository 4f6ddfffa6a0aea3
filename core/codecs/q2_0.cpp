// SPDX-License-Identifier: GPL-3.0-or-later
// Q2_0, 18 bytes for 64 weights: fp16 d | 16 bytes of bit pairs, low bits first. weight =
// d · (code − 1). The fourth code stands for 2 d; models trained ternary leave it unused, and so
// does the encoder where that costs nothing.
#include "core/codecs/super_block/levels.h"
#include "core/codecs/super_block/one_scale.h"
#include "core/codecs/super_block/planes.h"

namespace bitloom {
namespace {

struct Layout {
  static constexpr size_t kWeights = 64;
  static constexpr bool kSigned = true;
  static constexpr super_block::Trials kTrials = {0.5f, 3.0f, 26};
  using Levels = super_block::Even<1, 3>;

  struct Block {
    uint16_t scale;
    super_block::Planes<2, 1, kWeights> codes;
  };
  static_assert(sizeof(Block) == 18);
};

using Q2_0 = super_block::Scaled<super_block::OneScale<Layout>>;

}  // namespace

extern const Codec codec_q2_0;
const Codec codec_q2_0 = {
    .name = "q2_0",
    .title = "Q2_0",
    .summary =
        "Ternary weights (and a fourth code) in 2 bits each, one scale per 64 weights; for "
        "models trained ternary.",
    .fallback = "q4_0",
    .bits = 2.25,
    .rowBytes = Q2_0::Rows::rowBytes,
    .encode = Q2_0::Rows::encode,
    .decode = Q2_0::Rows::decode,
    .forTrained = true,
};

}  // namespace bitloom

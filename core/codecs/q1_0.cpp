// SPDX-License-Identifier: GPL-3.0-or-later
// Q1_0, 18 bytes for 128 weights: fp16 d | 16 bytes of signs. weight = bit ? d : −d.
#include "core/codecs/super_block/levels.h"
#include "core/codecs/super_block/one_scale.h"
#include "core/codecs/super_block/planes.h"

namespace bitloom {
namespace {

struct Signs {
  static constexpr float kLevels[2] = {-1, 1};
};

struct Layout {
  static constexpr size_t kWeights = 128;
  static constexpr bool kSigned = false;
  static constexpr super_block::Trials kTrials = {1, 1, 0};
  using Levels = super_block::Listed<Signs>;

  struct Block {
    uint16_t scale;
    super_block::Planes<1, 1, kWeights> codes;
  };
  static_assert(sizeof(Block) == 18);
};

using Q1_0 = super_block::Scaled<super_block::OneScale<Layout>>;

}  // namespace

extern const Codec codec_q1_0;
const Codec codec_q1_0 = {
    .name = "q1_0",
    .title = "Q1_0",
    .summary = "Signs and one scale per 128 weights; for models trained binary.",
    .fallback = "q4_0",
    .bits = 1.125,
    .rowBytes = Q1_0::Rows::rowBytes,
    .encode = Q1_0::Rows::encode,
    .decode = Q1_0::Rows::decode,
    .forTrained = true,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// IQ4_NL, 18 bytes for 32 weights: fp16 d | 16 bytes of nibbles. weight = d · table[code].
#include "core/codecs/iq/uneven.h"
#include "core/codecs/super_block/one_scale.h"
#include "core/codecs/super_block/planes.h"

namespace bitloom {
namespace {

struct Layout {
  static constexpr size_t kWeights = 32;
  static constexpr bool kSigned = true;
  static constexpr super_block::Trials kTrials = {0.8f, 1.12f, 15};
  using Levels = iq::Uneven;

  struct Block {
    uint16_t scale;
    super_block::Planes<4, 16, kWeights> codes;
  };
  static_assert(sizeof(Block) == 18);
};

using IQ4_NL = super_block::Scaled<super_block::OneScale<Layout>>;

}  // namespace

extern const Codec codec_iq4_nl;
const Codec codec_iq4_nl = {
    .name = "iq4_nl",
    .title = "IQ4_NL",
    .summary = "4-bit codes of uneven levels with one scale per 32 weights.",
    .fallback = "f16",
    .bits = 4.5,
    .rowBytes = IQ4_NL::Rows::rowBytes,
    .encode = IQ4_NL::Rows::encode,
    .decode = IQ4_NL::Rows::decode,
    .grid = &IQ4_NL::kGrid,
};

}  // namespace bitloom

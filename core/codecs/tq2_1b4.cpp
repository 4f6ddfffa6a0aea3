// SPDX-License-Identifier: GPL-3.0-or-later
// TQ2_1B4, 38 bytes for 128 weights: 2-bit codes of rotated weights, one scale bit per 4.
#include "core/codecs/tq_1b/tq_1b.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

struct Table : levels::OneBit<2, 4> {
  static constexpr int kBits = 2;
  static constexpr size_t kGroup = 4;
};

}  // namespace

extern const Codec codec_tq2_1b4;
const Codec codec_tq2_1b4 = tq_1b::Family<Table>::codec(
    "tq2_1b4", "TQ2_1B4",
    "2-bit codes of rotated weights with one scale bit per 4; runs in Bitloom only.", "tq3_1s");

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// TQ3_1B4, 54 bytes for 128 weights: 3-bit codes of rotated weights, one scale bit per 4.
#include "core/codecs/tq_1b/tq_1b.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

struct Table : levels::OneBit<3, 4> {
  static constexpr int kBits = 3;
  static constexpr size_t kGroup = 4;
};

}  // namespace

extern const Codec codec_tq3_1b4;
const Codec codec_tq3_1b4 = tq_1b::Family<Table>::codec(
    "tq3_1b4", "TQ3_1B4",
    "3-bit codes of rotated weights with one scale bit per 4; runs in Bitloom only.", "tq3_1s");

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// TQ3_1B2, 58 bytes for 128 weights: 3-bit codes of rotated weights, one scale bit per 2.
#include "core/codecs/tq_1b/tq_1b.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

struct Table : levels::OneBit<3, 2> {
  static constexpr int kBits = 3;
  static constexpr size_t kGroup = 2;
};

}  // namespace

extern const Codec codec_tq3_1b2;
const Codec codec_tq3_1b2 = tq_1b::Family<Table>::codec(
    "tq3_1b2", "TQ3_1B2",
    "3-bit codes of rotated weights with one scale bit per 2; runs in Bitloom only.", "tq3_1s");

}  // namespace bitloom

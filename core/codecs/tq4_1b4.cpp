// SPDX-License-Identifier: GPL-3.0-or-later
// TQ4_1B4, 70 bytes for 128 weights: 4-bit codes of rotated weights, one scale bit per 4.
#include "core/codecs/tq_1b/tq_1b.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

struct Table : levels::OneBit<4, 4> {
  static constexpr int kBits = 4;
  static constexpr size_t kGroup = 4;
};

}  // namespace

extern const Codec codec_tq4_1b4;
const Codec codec_tq4_1b4 = tq_1b::Family<Table>::codec(
    "tq4_1b4", "TQ4_1B4",
    "4-bit codes of rotated weights with one scale bit per 4; runs in Bitloom only.", "tq4_1s");

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// TQ3_1B8, 52 bytes for 128 weights: 3-bit codes of rotated weights, one scale bit per 8.
#include "core/codecs/tq_1b/tq_1b.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

struct Table : levels::OneBit<3, 8> {
  static constexpr int kBits = 3;
  static constexpr size_t kGroup = 8;
};

}  // namespace

extern const Codec codec_tq3_1b8;
const Codec codec_tq3_1b8 = tq_1b::Family<Table>::codec(
    "tq3_1b8", "TQ3_1B8",
    "3-bit codes of rotated weights with one scale bit per 8; runs in Bitloom only.", "tq3_1s");

}  // namespace bitloom

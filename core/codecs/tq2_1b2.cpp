// SPDX-License-Identifier: GPL-3.0-or-later
// TQ2_1B2, 42 bytes for 128 weights: 2-bit codes of rotated weights, one scale bit per 2.
#include "core/codecs/tq_1b/tq_1b.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

struct Table : levels::OneBit<2, 2> {
  static constexpr int kBits = 2;
  static constexpr size_t kGroup = 2;
};

}  // namespace

extern const Codec codec_tq2_1b2;
const Codec codec_tq2_1b2 = tq_1b::Family<Table>::codec(
    "tq2_1b2", "TQ2_1B2",
    "2-bit codes of rotated weights with one scale bit per 2; runs in Bitloom only.", "tq3_1s");

}  // namespace bitloom

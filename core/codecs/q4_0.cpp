// SPDX-License-Identifier: GPL-3.0-or-later
// Q4_0, 18 bytes for 32 weights: fp16 d | 16 bytes of nibbles. weight = d · (code − 8).
#include "core/codecs/affine/symmetric.h"

namespace bitloom {

using Q4_0 = affine::Symmetric<affine::Codes4>;

extern const Codec codec_q4_0;
const Codec codec_q4_0 = {
    .name = "q4_0",
    .title = "Q4_0",
    .summary = "4-bit codes with one scale per 32 weights.",
    .fallback = "f16",
    .bits = 4.5,
    .rowBytes = Q4_0::Rows::rowBytes,
    .encode = Q4_0::Rows::encode,
    .decode = Q4_0::Rows::decode,
    .grid = &Q4_0::kGrid,
};

}  // namespace bitloom

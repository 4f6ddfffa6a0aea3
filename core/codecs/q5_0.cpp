// SPDX-License-Identifier: GPL-3.0-or-later
// Q5_0, 22 bytes for 32 weights: fp16 d | 4 bytes of fifth bits | 16 bytes of nibbles.
// weight = d · (code − 16).
#include "core/codecs/affine/symmetric.h"

namespace bitloom {

using Q5_0 = affine::Symmetric<affine::Codes5>;

extern const Codec codec_q5_0;
const Codec codec_q5_0 = {
    .name = "q5_0",
    .title = "Q5_0",
    .summary = "5-bit codes with one scale per 32 weights.",
    .fallback = "f16",
    .bits = 5.5,
    .rowBytes = Q5_0::Rows::rowBytes,
    .encode = Q5_0::Rows::encode,
    .decode = Q5_0::Rows::decode,
    .grid = &Q5_0::kGrid,
};

}  // namespace bitloom

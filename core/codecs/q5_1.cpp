// SPDX-License-Identifier: GPL-3.0-or-later
// Q5_1, 24 bytes for 32 weights: fp16 d | fp16 m | 4 bytes of fifth bits | 16 bytes of nibbles.
// weight = d · code + m.
#include "core/codecs/affine/asymmetric.h"

namespace bitloom {

using Q5_1 = affine::Asymmetric<affine::Codes5>;

extern const Codec codec_q5_1;
const Codec codec_q5_1 = {
    .name = "q5_1",
    .title = "Q5_1",
    .summary = "5-bit codes with a scale and a minimum per 32 weights.",
    .fallback = "f16",
    .bits = 6.0,
    .rowBytes = Q5_1::Rows::rowBytes,
    .encode = Q5_1::Rows::encode,
    .decode = Q5_1::Rows::decode,
    .grid = &Q5_1::kGrid,
};

}  // namespace bitloom

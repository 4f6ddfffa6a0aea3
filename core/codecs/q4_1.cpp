// SPDX-License-Identifier: GPL-3.0-or-later
// Q4_1, 20 bytes for 32 weights: fp16 d | fp16 m | 16 bytes of nibbles.
// weight = d · code + m.
#include "core/codecs/affine/asymmetric.h"

namespace bitloom {

using Q4_1 = affine::Asymmetric<affine::Codes4>;

extern const Codec codec_q4_1;
const Codec codec_q4_1 = {
    .name = "q4_1",
    .title = "Q4_1",
    .summary = "4-bit codes with a scale and a minimum per 32 weights.",
    .fallback = "f16",
    .bits = 5.0,
    .rowBytes = Q4_1::Rows::rowBytes,
    .encode = Q4_1::Rows::encode,
    .decode = Q4_1::Rows::decode,
    .grid = &Q4_1::kGrid,
};

}  // namespace bitloom

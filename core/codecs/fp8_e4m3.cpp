// SPDX-License-Identifier: GPL-3.0-or-later
// FP8 E4M3 ("fn"): bias 7, largest 448, least 2^-9, no infinity; NaN is 0x7f. One f32 scale a row.
#include "core/codecs/fp8/row.h"

namespace bitloom {

using FP8_E4M3 = fp8::Row<fp8::Number<3, 0x7e, 0x80>>;

extern const Codec codec_fp8_e4m3;
const Codec codec_fp8_e4m3 = {
    .name = "fp8_e4m3",
    .title = "FP8_E4M3",
    .summary =
        "8-bit floats with three bits of mantissa, one scale per row; for models trained in it.",
    .fallback = "",
    .bits = 8,
    .rowBytes = FP8_E4M3::rowBytes,
    .encode = FP8_E4M3::encode,
    .decode = FP8_E4M3::decode,
    .forTrained = true,
};

}  // namespace bitloom

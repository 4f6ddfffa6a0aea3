// SPDX-License-Identifier: GPL-3.0-or-later
// FP8 E5M2: bias 15, largest 57344, least 2^-16, IEEE infinity and NaN. One f32 scale a row.
#include "core/codecs/fp8/row.h"

namespace bitloom {

using FP8_E5M2 = fp8::Row<fp8::Number<2, 0x7b, 0x7c>>;

extern const Codec codec_fp8_e5m2;
const Codec codec_fp8_e5m2 = {
    .name = "fp8_e5m2",
    .title = "FP8_E5M2",
    .summary =
        "8-bit floats with two bits of mantissa, one scale per row; for models trained in it.",
    .fallback = "",
    .bits = 8,
    .rowBytes = FP8_E5M2::rowBytes,
    .encode = FP8_E5M2::encode,
    .decode = FP8_E5M2::decode,
    .forTrained = true,
};

}  // namespace bitloom

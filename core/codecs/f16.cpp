// SPDX-License-Identifier: GPL-3.0-or-later
// F16: IEEE 754 binary16, little-endian. Finite weights beyond its range are
// stored as its largest value: an infinity would poison every sum that the weight enters.
#include "core/block_codec.h"
#include "core/half.h"

namespace bitloom {
namespace {

void encodeOne(const float* value, const float*, uint16_t& bits) {
  bits = floatToHalf(*value == *value ? clampFinite(*value, kHalfMax) : *value);
}

void decodeOne(const uint16_t& bits, float* value) { *value = halfToFloat(bits); }

using Rows = BlockCodec<1, uint16_t, encodeOne, decodeOne>;

}  // namespace

extern const Codec codec_f16;
const Codec codec_f16 = {
    .name = "f16",
    .title = "F16",
    .summary = "16-bit IEEE floats; holds rows of any length.",
    .fallback = "",
    .bits = 16,
    .rowBytes = Rows::rowBytes,
    .encode = Rows::encode,
    .decode = Rows::decode,
};

}  // namespace bitloom

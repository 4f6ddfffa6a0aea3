// SPDX-License-Identifier: GPL-3.0-or-later
// BF16: the upper half of a float, little-endian. Finite weights beyond its range are
// stored as its largest value: an infinity would poison every sum that the weight enters.
#include "core/block_codec.h"
#include "core/half.h"

namespace bitloom {
namespace {

void encodeOne(const float* value, const float*, uint16_t& bits) {
  bits = floatToBfloat(*value == *value ? clampFinite(*value, kBfloatMax) : *value);
}

void decodeOne(const uint16_t& bits, float* value) { *value = bfloatToFloat(bits); }

using Rows = BlockCodec<1, uint16_t, encodeOne, decodeOne>;

}  // namespace

extern const Codec codec_bf16;
const Codec codec_bf16 = {
    .name = "bf16",
    .title = "BF16",
    .summary = "16-bit brain floats: the range of F32 with 8 significant bits.",
    .fallback = "",
    .bits = 16,
    .rowBytes = Rows::rowBytes,
    .encode = Rows::encode,
    .decode = Rows::decode,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// F16: IEEE 754 binary16, little-endian. Finite weights beyond its range are stored as its largest value: an
// infinity would poison every sum that the weight enters.
#include <cstring>

#include "core/codec.h"
#include "core/half.h"

namespace bitloom {
namespace {

uint64_t rowBytes(uint64_t n) { return n * sizeof(uint16_t); }

void encode(std::span<const float> row, std::span<const float>, std::span<std::byte> bytes) {
  for (size_t i = 0; i < row.size(); ++i) {
    const float value = row[i];
    const uint16_t bits = floatToHalf(value == value ? clampFinite(value, kHalfMax) : value);
    std::memcpy(&bytes[i * sizeof(bits)], &bits, sizeof(bits));
  }
}

void decode(std::span<const std::byte> bytes, std::span<float> row) {
  for (size_t i = 0; i < row.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, &bytes[i * sizeof(bits)], sizeof(bits));
    row[i] = halfToFloat(bits);
  }
}

}  // namespace

extern const Codec codec_f16;
const Codec codec_f16 = {
    .name = "f16",
    .title = "F16",
    .summary = "16-bit IEEE floats; holds rows of any length.",
    .fallback = "",
    .bits = 16,
    .rowBytes = rowBytes,
    .encode = encode,
    .decode = decode,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// F32: the float itself, little-endian.
#include <cstring>

#include "core/codec.h"

namespace bitloom {
namespace {

uint64_t rowBytes(uint64_t n) { return n * sizeof(float); }

void encode(std::span<const float> row, std::span<const float>, std::span<std::byte> bytes) {
  if (!row.empty()) std::memcpy(bytes.data(), row.data(), row.size_bytes());
}

void decode(std::span<const std::byte> bytes, std::span<float> row) {
  if (!row.empty()) std::memcpy(row.data(), bytes.data(), row.size_bytes());
}

}  // namespace

extern const Codec codec_f32;
const Codec codec_f32 = {
    .name = "f32",
    .title = "F32",
    .summary = "32-bit floats, unchanged.",
    .fallback = "",
    .bits = 32,
    .rowBytes = rowBytes,
    .encode = encode,
    .decode = decode,
};

}  // namespace bitloom

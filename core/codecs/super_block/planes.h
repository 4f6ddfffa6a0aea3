// SPDX-License-Identifier: GPL-3.0-or-later
// How GGUF lays small codes into bytes: a chunk of `kStride` bytes holds 8/kBits planes of kStride
// codes each, plane p in bits kBits·p … of every byte. Nibble pairs, two-bit planes and masks of
// single high bits are all of this form; they differ in the width and in the stride only.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bitloom::super_block {

template <int kBits, size_t kStride, size_t kCount>
struct Planes {
  static constexpr size_t kChunk = kStride * 8 / size_t(kBits);  // codes
  static constexpr size_t kPlanes = 8 / size_t(kBits);
  static constexpr int kMask = (1 << kBits) - 1;
  static_assert(kCount % kChunk == 0);
  uint8_t bytes[kCount * size_t(kBits) / 8];

  static constexpr size_t byteOf(size_t i) { return i / kChunk * kStride + i % kStride; }
  static constexpr int shiftOf(size_t i) { return int(i % kChunk / kStride) * kBits; }

  // All codes at once, in loops that take whole vectors. Of each code, bits from `lowest` on are
  // those that lie here; `take` adds them to what other planes gave.
  void put(const uint8_t* codes, int lowest = 0) {
    for (size_t c = 0; c < kCount / kChunk; ++c) {
      for (size_t j = 0; j < kStride; ++j) {
        int byte = 0;
        for (size_t p = 0; p < kPlanes; ++p) {
          byte |= (codes[c * kChunk + p * kStride + j] >> lowest & kMask) << (p * kBits);
        }
        bytes[c * kStride + j] = uint8_t(byte);
      }
    }
  }
  void take(uint8_t* codes, int lowest = 0) const {
    for (size_t c = 0; c < kCount / kChunk; ++c) {
      for (size_t p = 0; p < kPlanes; ++p) {
        for (size_t j = 0; j < kStride; ++j) {
          const int code = bytes[c * kStride + j] >> (p * kBits) & kMask;
          codes[c * kChunk + p * kStride + j] |= uint8_t(code << lowest);
        }
      }
    }
  }

  int get(size_t i) const { return bytes[byteOf(i)] >> shiftOf(i) & kMask; }
  // Into bytes that are zero so far.
  void add(size_t i, int code) {
    bytes[byteOf(i)] = uint8_t(bytes[byteOf(i)] | (code & kMask) << shiftOf(i));
  }
};

}  // namespace bitloom::super_block

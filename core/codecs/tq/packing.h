// SPDX-License-Identifier: GPL-3.0-or-later
// How TQ formats lay out the codes of 32 weights, in order: little-endian bit fields. Three-bit
// codes come as four groups of eight, each a 24-bit little-endian integer Σ code[i]·8^i; four- and
// two-bit codes fill bytes from the low bits up.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace bitloom::tq {

using Codes32 = std::array<uint8_t, 32>;

template <int kBits>
struct PackedCodes {
  static_assert(kBits == 2 || kBits == 4);
  static constexpr size_t kPerByte = 8 / kBits;
  uint8_t bytes[4 * kBits];

  void put(const uint8_t* codes) {
    for (size_t i = 0; i < sizeof(bytes); ++i) {
      unsigned byte = 0;
      for (size_t j = 0; j < kPerByte; ++j) {
        byte |= unsigned(codes[i * kPerByte + j]) << (kBits * j);
      }
      bytes[i] = uint8_t(byte);
    }
  }
  Codes32 get() const {
    Codes32 codes;
    for (size_t i = 0; i < codes.size(); ++i) {
      codes[i] = bytes[i / kPerByte] >> (kBits * (i % kPerByte)) & ((1 << kBits) - 1);
    }
    return codes;
  }
};

template <>
struct PackedCodes<3> {
  uint8_t bytes[12];

  void put(const uint8_t* codes) {
    for (size_t group = 0; group < 4; ++group) {
      uint32_t word = 0;
      for (size_t i = 0; i < 8; ++i) word |= uint32_t(codes[8 * group + i]) << (3 * i);
      for (size_t i = 0; i < 3; ++i) bytes[3 * group + i] = uint8_t(word >> (8 * i));
    }
  }
  Codes32 get() const {
    Codes32 codes;
    for (size_t group = 0; group < 4; ++group) {
      uint32_t word = 0;
      for (size_t i = 0; i < 3; ++i) word |= uint32_t(bytes[3 * group + i]) << (8 * i);
      for (size_t i = 0; i < 8; ++i) codes[8 * group + i] = word >> (3 * i) & 7;
    }
    return codes;
  }
};

}  // namespace bitloom::tq

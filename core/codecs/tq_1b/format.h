// SPDX-License-Identifier: GPL-3.0-or-later
// The TQn_1Bg family: n-bit codes of rotated weights, one fp16 scale per 128 weights and one scale
// *bit* per g weights, which picks one of two tables. Rotation as in TQ3_1S, per 32 weights.
//
// Layout. A row of 64·m weights is ⌊m/2⌋ blocks of 128 and, if m is odd, one half block of 64 with
// the same fields: fp16 d | 128/g scale bits, bit j (least significant first) for weights g·j …
// g·j + g − 1 | codes, packed per 32 weights as in packing.h, ascending in value.
// Rotated value = d · T[bit][code] / 64; T is symmetric, so its upper half suffices. The entries
// are signed bytes so that dot products with 8-bit activations are exact integers.
#pragma once
#include <array>
#include <cstring>
#include <span>

#include "core/codecs/lanes.h"
#include "core/codecs/tq/packing.h"
#include "core/half.h"

namespace bitloom::tq_1b {

constexpr size_t kBlock = 128;
constexpr size_t kHalfBlock = 64;
constexpr float kUnit = 1.0f / 64.0f;  // of a table entry

// `Table`: kBits (n), kGroup (g), kLevels[2][2^(n−1)]: magnitudes of scale bits 0 and 1.
template <typename Table>
struct Format {
  static constexpr size_t kMagnitudes = size_t(1) << (Table::kBits - 1);
  static constexpr size_t kCodeBytes = 4 * Table::kBits;  // of 32 weights

  static constexpr size_t bitBytes(size_t block) { return block / Table::kGroup / 8; }
  static constexpr size_t blockBytes(size_t block) {
    return 2 + bitBytes(block) + block / 32 * kCodeBytes;
  }

  static constexpr uint64_t rowBytes(uint64_t n) {
    if (n % kHalfBlock) return 0;
    return n / kBlock * blockBytes(kBlock) + (n % kBlock ? blockBytes(kHalfBlock) : 0);
  }

  static constexpr float magnitude(size_t bit, size_t index) {
    return float(Table::kLevels[bit][index]);
  }

  // Table entries, signed, by scale bit and code.
  struct Entries {
    float values[2][2 * kMagnitudes] = {};
    constexpr Entries() {
      for (size_t bit = 0; bit < 2; ++bit) {
        for (size_t k = 0; k < kMagnitudes; ++k) {
          values[bit][kMagnitudes + k] = magnitude(bit, k);
          values[bit][kMagnitudes - 1 - k] = -magnitude(bit, k);
        }
      }
    }
  };
  static constexpr Entries kEntries{};

  static constexpr float level(size_t bit, uint8_t code) { return kEntries.values[bit][code]; }

  struct Magnitudes {
    float values[kMagnitudes] = {};
    constexpr explicit Magnitudes(size_t bit) {
      for (size_t k = 0; k < kMagnitudes; ++k) values[k] = magnitude(bit, k);
    }
  };
  static constexpr Ladder<kMagnitudes> kLadders[2] = {Ladder<kMagnitudes>(Magnitudes(0).values),
                                                      Ladder<kMagnitudes>(Magnitudes(1).values)};

  static constexpr uint8_t signedCode(bool negative, size_t index) {
    return uint8_t(negative ? kMagnitudes - 1 - index : kMagnitudes + index);
  }

  // `value` in units of the table; a tie goes to the larger magnitude, zero to the positive side.
  static constexpr uint8_t nearestCode(size_t bit, float value) {
    return signedCode(value < 0, kLadders[bit].indexOf(value < 0 ? -value : value));
  }

  // What one block or half block holds.
  struct Choice {
    float scale = 0;
    std::array<uint8_t, kBlock / Table::kGroup> bits = {};
    std::array<uint8_t, kBlock> codes = {};
  };

  static void put(const Choice& choice, size_t block, std::byte* bytes) {
    const uint16_t scale = floatToHalfClamped(choice.scale);
    std::memcpy(bytes, &scale, sizeof(scale));
    uint8_t field[bitBytes(kBlock)] = {};
    for (size_t group = 0; group < block / Table::kGroup; ++group) {
      field[group / 8] = uint8_t(field[group / 8] | choice.bits[group] << (group % 8));
    }
    std::memcpy(bytes + 2, field, bitBytes(block));
    std::byte* out = bytes + 2 + bitBytes(block);
    for (size_t i = 0; i < block; i += 32, out += kCodeBytes) {
      tq::PackedCodes<Table::kBits> packed;
      packed.put(&choice.codes[i]);
      std::memcpy(out, packed.bytes, kCodeBytes);
    }
  }

  static Choice get(const std::byte* bytes, size_t block) {
    Choice choice;
    uint16_t scale;
    std::memcpy(&scale, bytes, sizeof(scale));
    choice.scale = halfToFloat(scale);
    uint8_t field[bitBytes(kBlock)];
    std::memcpy(field, bytes + 2, bitBytes(block));
    for (size_t group = 0; group < block / Table::kGroup; ++group) {
      choice.bits[group] = field[group / 8] >> (group % 8) & 1;
    }
    const std::byte* in = bytes + 2 + bitBytes(block);
    for (size_t i = 0; i < block; i += 32, in += kCodeBytes) {
      tq::PackedCodes<Table::kBits> packed;
      std::memcpy(packed.bytes, in, kCodeBytes);
      const tq::Codes32 codes = packed.get();
      std::memcpy(&choice.codes[i], codes.data(), codes.size());
    }
    return choice;
  }
};

}  // namespace bitloom::tq_1b

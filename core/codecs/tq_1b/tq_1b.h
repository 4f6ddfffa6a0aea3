// SPDX-License-Identifier: GPL-3.0-or-later
// The functions of a TQn_1Bg codec, from its table. See format.h for the layout and encoder.h for
// the choice of codes.
#pragma once
#include <algorithm>

#include "core/codec.h"
#include "core/codecs/tq_1b/encoder.h"

namespace bitloom::tq_1b {

template <typename Table>
struct Family {
  using Layout = Format<Table>;
  using Choice = typename Layout::Choice;
  static constexpr size_t kGroups = kBlock / Table::kGroup;

  static Choice choose(std::span<const float> rotated, std::span<const float> weights) {
    const float* importances = weights.empty() ? nullptr : weights.data();
    return rotated.size() == kBlock
               ? Encoder<Table, kBlock>::choose(rotated.data(), importances)
               : Encoder<Table, kHalfBlock>::choose(rotated.data(), importances);
  }

  static void encode(std::span<const float> row, std::span<const float> weights,
                     std::span<std::byte> bytes) {
    std::byte* out = bytes.data();
    for (size_t at = 0; at < row.size(); at += kBlock) {
      const size_t count = std::min(kBlock, row.size() - at);
      alignas(64) float rotated[kBlock];
      std::copy_n(&row[at], count, rotated);
      for (size_t i = 0; i < count; i += tq::kRotation) tq::rotate(rotated + i);
      const auto importances = weights.empty() ? weights : weights.subspan(at, count);
      Layout::put(choose({rotated, count}, importances), count, out);
      out += Layout::blockBytes(count);
    }
  }

  static void decode(std::span<const std::byte> bytes, std::span<float> row) {
    const std::byte* in = bytes.data();
    for (size_t at = 0; at < row.size(); at += kBlock) {
      const size_t count = std::min(kBlock, row.size() - at);
      const Choice choice = Layout::get(in, count);
      alignas(64) float rotated[kBlock];
      const float unit = choice.scale * kUnit;
      for (size_t i = 0; i < count; ++i) {
        rotated[i] = Layout::level(choice.bits[i / Table::kGroup], choice.codes[i]) * unit;
      }
      for (size_t i = 0; i < count; i += tq::kRotation) tq::unrotate(rotated + i);
      std::copy_n(rotated, count, &row[at]);
      in += Layout::blockBytes(count);
    }
  }

  static void toBasis(float* block) {
    for (size_t i = 0; i < kBlock; i += tq::kRotation) tq::rotate(block + i);
  }
  static void fromBasis(float* block) {
    for (size_t i = 0; i < kBlock; i += tq::kRotation) tq::unrotate(block + i);
  }

  // Parameters: d, then the scale bits as 0 or 1. A half block has half as many.
  static void fit(std::span<const float> values, std::span<const float> weights,
                  std::span<float> parameters) {
    const Choice choice = choose(values, weights);
    parameters[0] = choice.scale;
    std::copy_n(choice.bits.begin(), values.size() / Table::kGroup, parameters.begin() + 1);
  }

  static void round(const float* values, size_t index, std::span<const float> parameters,
                    uint8_t* codes, float* rounded) {
    const size_t bit = parameters[1 + index / Table::kGroup] != 0;
    const float unit = parameters[0] * kUnit;
    *codes = Layout::nearestCode(bit, *values * inverseOf(unit));
    *rounded = Layout::level(bit, *codes) * unit;
  }

  static void pack(std::span<const float> parameters, std::span<const uint8_t> codes,
                   std::span<std::byte> bytes) {
    Choice choice;
    choice.scale = parameters[0];
    for (size_t group = 0; group < codes.size() / Table::kGroup; ++group) {
      choice.bits[group] = parameters[1 + group] != 0;
    }
    std::copy(codes.begin(), codes.end(), choice.codes.begin());
    Layout::put(choice, codes.size(), bytes.data());
  }

  static constexpr Grid kGrid = {.block = kBlock,
                                 .vector = 1,
                                 .parameters = 1 + kGroups,
                                 .toBasis = toBasis,
                                 .fromBasis = fromBasis,
                                 .fit = fit,
                                 .round = round,
                                 .pack = pack,
                                 .tail = kHalfBlock,
                                 .scaleRun = kBlock};

  static constexpr double kBitsPerWeight =
      Table::kBits + 1.0 / double(Table::kGroup) + 16.0 / double(kBlock);

  static constexpr Codec codec(std::string_view name, std::string_view title,
                               std::string_view summary, std::string_view fallback) {
    return {.name = name,
            .title = title,
            .summary = summary,
            .fallback = fallback,
            .bits = kBitsPerWeight,
            .rowBytes = Layout::rowBytes,
            .encode = encode,
            .decode = decode,
            .grid = &kGrid};
  }
};

}  // namespace bitloom::tq_1b

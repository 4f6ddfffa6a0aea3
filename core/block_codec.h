// SPDX-License-Identifier: GPL-3.0-or-later
// Row functions of a codec whose rows are a plain sequence of equal blocks, from the functions of
// one block. `Block` is the layout (trivially copyable, no padding).
#pragma once
#include <cstring>

#include "core/codec.h"

namespace bitloom {

template <size_t kWeights, typename Block,
          void (*kEncode)(const float* values, const float* weights, Block& block),
          void (*kDecode)(const Block& block, float* values)>
struct BlockCodec {
  static uint64_t rowBytes(uint64_t n) { return n % kWeights ? 0 : n / kWeights * sizeof(Block); }

  static void encode(std::span<const float> row, std::span<const float> weights,
                     std::span<std::byte> bytes) {
    for (size_t i = 0; i < row.size() / kWeights; ++i) {
      Block block;
      kEncode(&row[i * kWeights], weights.empty() ? nullptr : &weights[i * kWeights], block);
      std::memcpy(&bytes[i * sizeof(Block)], &block, sizeof(Block));
    }
  }

  static void decode(std::span<const std::byte> bytes, std::span<float> row) {
    for (size_t i = 0; i < row.size() / kWeights; ++i) {
      Block block;
      std::memcpy(&block, &bytes[i * sizeof(Block)], sizeof(Block));
      kDecode(block, &row[i * kWeights]);
    }
  }
};

}  // namespace bitloom

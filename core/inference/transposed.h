// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once
#include <algorithm>
#include <cstddef>

namespace bitloom {

// to[columns × rows] = from[rows × columns]ᵀ; strides count floats between rows.
inline void transpose(const float* from, size_t fromStride, size_t rows, size_t columns, float* to,
                      size_t toStride) {
  constexpr size_t kTile = 16;  // both sides of a tile stay in the first cache
  for (size_t row = 0; row < rows; row += kTile) {
    const size_t rowEnd = std::min(rows, row + kTile);
    for (size_t column = 0; column < columns; column += kTile) {
      const size_t columnEnd = std::min(columns, column + kTile);
      for (size_t r = row; r < rowEnd; ++r) {
        for (size_t c = column; c < columnEnd; ++c) to[c * toStride + r] = from[r * fromStride + c];
      }
    }
  }
}

}  // namespace bitloom

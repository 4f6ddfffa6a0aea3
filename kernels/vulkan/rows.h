// SPDX-License-Identifier: GPL-3.0-or-later
// Weights as shaders read them: the codec's own bytes, 32 rows side by side word by word (a
// *panel*), so that neighbouring lanes, which take neighbouring rows, read neighbouring words. The
// twin of shaders/rows.glsl.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bitloom::vulkan {

constexpr uint64_t kRowsOfPanel = 32;
constexpr uint64_t kPartWeights = 32;  // of a row, decoded together

inline uint64_t partsOf(uint64_t rowLength) {
  return (rowLength + kPartWeights - 1) / kPartWeights;
}

// Words of a row: rows of any length (of float types) are filled up to whole parts, and there is a
// spare word behind the last, which reads across words may touch.
uint64_t rowWords(uint64_t rowBytes, uint64_t rowLength);

inline uint64_t panelBytes(uint64_t words) { return words * kRowsOfPanel * sizeof(uint32_t); }

// `rows` (at most kRowsOfPanel) rows of `rowBytes` bytes, end to end ↔ one panel. What the panel
// holds beyond them is zero.
void packPanel(const uint8_t* bytes, uint64_t rowBytes, uint64_t rows, uint64_t words,
               uint32_t* panel);
void unpackPanel(const uint32_t* panel, uint64_t rowBytes, uint64_t rows, uint8_t* bytes);

}  // namespace bitloom::vulkan

// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/vulkan/rows.h"

#include <algorithm>
#include <cstring>

namespace bitloom::vulkan {

uint64_t rowWords(uint64_t rowBytes, uint64_t rowLength) {
  uint64_t bytes = rowBytes;
  if (rowLength % kPartWeights != 0) {
    bytes = rowBytes / rowLength * partsOf(rowLength) * kPartWeights;
  }
  return (bytes + 3) / 4 + 1;
}

void packPanel(const uint8_t* bytes, uint64_t rowBytes, uint64_t rows, uint64_t words,
               uint32_t* panel) {
  std::fill_n(panel, words * kRowsOfPanel, 0);
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t at = 0; at < rowBytes; at += 4) {
      const uint64_t count = std::min<uint64_t>(4, rowBytes - at);
      std::memcpy(&panel[at / 4 * kRowsOfPanel + row], bytes + row * rowBytes + at, count);
    }
  }
}

void unpackPanel(const uint32_t* panel, uint64_t rowBytes, uint64_t rows, uint8_t* bytes) {
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t at = 0; at < rowBytes; at += 4) {
      const uint64_t count = std::min<uint64_t>(4, rowBytes - at);
      std::memcpy(bytes + row * rowBytes + at, &panel[at / 4 * kRowsOfPanel + row], count);
    }
  }
}

}  // namespace bitloom::vulkan

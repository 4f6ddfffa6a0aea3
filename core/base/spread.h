// SPDX-License-Identifier: GPL-3.0-or-later
// An order of 0, 1, 2, … in which any first part is spread over the whole range (van der Corput):
// sorting by the reversed bits visits 0, ½, ¼, ¾, … of it.
#pragma once
#include <cstdint>

namespace bitloom {

inline uint32_t reversedBits(uint32_t value) {
  uint32_t result = 0;
  for (int bit = 0; bit < 32; ++bit) {
    result = (result << 1U) | (value & 1U);
    value >>= 1U;
  }
  return result;
}

}  // namespace bitloom

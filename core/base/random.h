// SPDX-License-Identifier: GPL-3.0-or-later
// A small generator with the same numbers on every machine (Steele, Lea & Flood 2014, SplitMix64).
#pragma once
#include <cstdint>

namespace bitloom {

inline uint64_t nextRandom(uint64_t& state) {
  state += 0x9E3779B97F4A7C15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// In [0, 1).
inline double nextUniform(uint64_t& state) { return double(nextRandom(state) >> 11) * 0x1p-53; }

}  // namespace bitloom

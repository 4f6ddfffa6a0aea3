// SPDX-License-Identifier: GPL-3.0-or-later
// What the encoders share: sixteen lanes of floats, spelled as four vectors of four (the widest
// that every x86-64 has), so that loops do not depend on what the compiler vectorises; sums over
// them in one fixed order, so that every target and build gives the same bytes; and small guards
// against overflow.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bitloom {

constexpr size_t kLanes = 16;

using Float4 = float __attribute__((vector_size(16)));
using Int4 = int32_t __attribute__((vector_size(16)));

struct Ints {
  Int4 part[4];
};

struct Lanes {
  Float4 part[4];

  static Lanes load(const float* values) {
    Lanes lanes;
    std::memcpy(&lanes, values, sizeof(lanes));
    return lanes;
  }
  static Lanes all(float value) {
    const Float4 four = {value, value, value, value};
    return {{four, four, four, four}};
  }
};

template <typename Operation>
inline Lanes map(const Lanes& a, const Lanes& b, Operation operation) {
  return {{operation(a.part[0], b.part[0]), operation(a.part[1], b.part[1]),
           operation(a.part[2], b.part[2]), operation(a.part[3], b.part[3])}};
}

inline Lanes operator+(const Lanes& a, const Lanes& b) {
  return map(a, b, [](Float4 x, Float4 y) { return x + y; });
}
inline Lanes operator-(const Lanes& a, const Lanes& b) {
  return map(a, b, [](Float4 x, Float4 y) { return x - y; });
}
inline Lanes operator*(const Lanes& a, const Lanes& b) {
  return map(a, b, [](Float4 x, Float4 y) { return x * y; });
}
inline Lanes operator*(const Lanes& a, float b) { return a * Lanes::all(b); }

inline Lanes absolute(const Lanes& a) {
  return map(a, a, [](Float4 x, Float4) { return (Float4)((Int4)x & 0x7fffffff); });
}

// Lanes of `a` where `mask` is all ones, of `b` where it is zero.
inline Lanes select(const Ints& mask, const Lanes& a, const Lanes& b) {
  Lanes chosen;
  for (size_t i = 0; i < 4; ++i) {
    chosen.part[i] = (Float4)(((Int4)a.part[i] & mask.part[i]) | ((Int4)b.part[i] & ~mask.part[i]));
  }
  return chosen;
}

inline Ints operator>(const Lanes& a, const Lanes& b) {
  return {
      {a.part[0] > b.part[0], a.part[1] > b.part[1], a.part[2] > b.part[2], a.part[3] > b.part[3]}};
}

// trunc(values) within 0 … top, for any values; 0 for NaN.
inline Lanes clampedLevels(const Lanes& values, float top) {
  return map(values, Lanes::all(top), [](Float4 x, Float4 limit) {
    x = x > 0.0f ? x : Float4{};
    x = x < limit ? x : limit;
    return __builtin_convertvector(__builtin_convertvector(x, Int4), Float4);
  });
}

// Folds the upper half of the lanes onto the lower, four times.
inline float sumLanes(const Lanes& lanes) {
  const Float4 four = (lanes.part[0] + lanes.part[2]) + (lanes.part[1] + lanes.part[3]);
  return (four[0] + four[2]) + (four[1] + four[3]);
}
inline float sumLanes(const float* lanes) { return sumLanes(Lanes::load(lanes)); }

// Ascending levels and the midpoints between them; a tie goes to the upper level. Levels are
// reached by flipping, at each midpoint passed, the bits in which neighbours differ: exact, and
// three instructions a step.
template <size_t kCount>
struct Ladder {
  float bounds[kCount] = {};  // bounds[k] lies below level k; bounds[0] is unused
  int32_t flips[kCount] = {};
  int32_t first = 0;

  constexpr explicit Ladder(const float (&levels)[kCount]) {
    first = std::bit_cast<int32_t>(levels[0]);
    for (size_t k = 1; k < kCount; ++k) {
      bounds[k] = 0.5f * (levels[k - 1] + levels[k]);
      flips[k] = std::bit_cast<int32_t>(levels[k - 1]) ^ std::bit_cast<int32_t>(levels[k]);
    }
  }

  constexpr size_t indexOf(float value) const {
    size_t index = 0;
    for (size_t k = 1; k < kCount; ++k) index += value >= bounds[k];
    return index;
  }

  Lanes nearest(const Lanes& values) const {
    Lanes levels;
    for (size_t i = 0; i < 4; ++i) {
      Int4 bits = {first, first, first, first};
#pragma GCC unroll 16
      for (size_t k = 1; k < kCount; ++k) bits ^= (values.part[i] >= bounds[k]) & flips[k];
      levels.part[i] = (Float4)bits;
    }
    return levels;
  }

  Ints indices(const Lanes& values) const {
    Ints indices;
    for (size_t i = 0; i < 4; ++i) {
      Int4 count = {};
#pragma GCC unroll 16
      for (size_t k = 1; k < kCount; ++k) count -= values.part[i] >= bounds[k];
      indices.part[i] = count;
    }
    return indices;
  }
};

// 1/step; 0 for a step so small that its inverse overflows: all codes then mean zero.
inline float inverseOf(float step) {
  const float inverse = step != 0 ? 1.0f / step : 0.0f;
  return std::fabs(inverse) <= 0x1.fffffep127f ? inverse : 0.0f;
}

// trunc(value) within 0 … top, for any value; 0 for NaN.
inline int clampedCode(float value, int top) {
  const float limited = value > 0.0f ? (value < float(top) ? value : float(top)) : 0.0f;
  return int(limited);
}

}  // namespace bitloom

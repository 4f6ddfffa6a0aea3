// SPDX-License-Identifier: GPL-3.0-or-later
// What the encoders share: sixteen lanes of floats, spelled in the widest vectors of the target, so
// that loops do not depend on what the compiler vectorises; sums over them in one fixed order, so
// that every target and build gives the same bytes; and small guards against overflow.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bitloom {

constexpr size_t kLanes = 16;

#if defined(__AVX512F__)
constexpr size_t kWidth = 16;
#elif defined(__AVX2__)
constexpr size_t kWidth = 8;
#else
constexpr size_t kWidth = 4;
#endif

using Floats = float __attribute__((vector_size(4 * kWidth)));
using Ints = int32_t __attribute__((vector_size(4 * kWidth)));
using Float4 = float __attribute__((vector_size(16)));
using Int4 = int32_t __attribute__((vector_size(16)));

struct IntLanes {
  Ints part[kLanes / kWidth];

  int32_t operator[](size_t lane) const { return part[lane / kWidth][lane % kWidth]; }
};

struct Lanes {
  Floats part[kLanes / kWidth];

  static Lanes load(const float* values) {
    Lanes lanes;
    std::memcpy(&lanes, values, sizeof(lanes));
    return lanes;
  }
  static Lanes all(float value) {
    Lanes lanes;
    for (Floats& part : lanes.part) part = value - Floats{};
    return lanes;
  }
  void store(float* values) const { std::memcpy(values, part, sizeof(part)); }
  float operator[](size_t lane) const { return part[lane / kWidth][lane % kWidth]; }
};

template <typename Operation>
inline Lanes map(const Lanes& a, const Lanes& b, Operation operation) {
  Lanes result;
  for (size_t i = 0; i < kLanes / kWidth; ++i) result.part[i] = operation(a.part[i], b.part[i]);
  return result;
}

inline Lanes operator+(const Lanes& a, const Lanes& b) {
  return map(a, b, [](const Floats& x, const Floats& y) { return x + y; });
}
inline Lanes operator-(const Lanes& a, const Lanes& b) {
  return map(a, b, [](const Floats& x, const Floats& y) { return x - y; });
}
inline Lanes operator*(const Lanes& a, const Lanes& b) {
  return map(a, b, [](const Floats& x, const Floats& y) { return x * y; });
}
inline Lanes operator/(const Lanes& a, const Lanes& b) {
  return map(a, b, [](const Floats& x, const Floats& y) { return x / y; });
}
inline Lanes operator*(const Lanes& a, float b) { return a * Lanes::all(b); }
inline Lanes operator-(const Lanes& a) { return a * -1.0f; }

inline Lanes absolute(const Lanes& a) {
  return map(a, a, [](const Floats& x, const Floats&) { return (Floats)((Ints)x & 0x7fffffff); });
}
inline Lanes smaller(const Lanes& a, const Lanes& b) {
  return map(a, b, [](const Floats& x, const Floats& y) { return x < y ? x : y; });
}
inline Lanes larger(const Lanes& a, const Lanes& b) {
  return map(a, b, [](const Floats& x, const Floats& y) { return x > y ? x : y; });
}

// Lanes of `a` where `mask` is all ones, of `b` where it is zero.
inline Lanes select(const IntLanes& mask, const Lanes& a, const Lanes& b) {
  Lanes chosen;
  for (size_t i = 0; i < kLanes / kWidth; ++i) {
    chosen.part[i] = mask.part[i] != 0 ? a.part[i] : b.part[i];
  }
  return chosen;
}

inline IntLanes operator>(const Lanes& a, const Lanes& b) {
  IntLanes mask;
  for (size_t i = 0; i < kLanes / kWidth; ++i) mask.part[i] = a.part[i] > b.part[i];
  return mask;
}
inline IntLanes operator&(const IntLanes& a, const IntLanes& b) {
  IntLanes mask;
  for (size_t i = 0; i < kLanes / kWidth; ++i) mask.part[i] = a.part[i] & b.part[i];
  return mask;
}
inline bool any(const IntLanes& mask) {
  Int4 four[4];
  std::memcpy(four, &mask, sizeof(four));
  const Int4 bits = four[0] | four[1] | four[2] | four[3];
  return (bits[0] | bits[1] | bits[2] | bits[3]) != 0;
}

// Lane i of the result is lane i ^ kStride; a power of two.
template <size_t kStride>
Lanes flipped(const Lanes& lanes) {
  Lanes result;
  if constexpr (kStride >= kWidth) {
    constexpr size_t kStep = kStride / kWidth;
    for (size_t i = 0; i < kLanes / kWidth; ++i) result.part[i] = lanes.part[i ^ kStep];
  } else {
    Ints order;
    for (size_t i = 0; i < kWidth; ++i) order[i] = int32_t(i ^ kStride);
    for (size_t i = 0; i < kLanes / kWidth; ++i) {
      result.part[i] = __builtin_shuffle(lanes.part[i], order);
    }
  }
  return result;
}

// trunc(values) within 0 … top, for any values; 0 for NaN.
inline Lanes clampedLevels(const Lanes& values, float top) {
  return map(values, Lanes::all(top), [](const Floats& value, const Floats& limit) {
    Floats x = value > 0.0f ? value : Floats{};
    x = x < limit ? x : limit;
    return __builtin_convertvector(__builtin_convertvector(x, Ints), Floats);
  });
}

// As whole numbers.
inline IntLanes clampedCodes(const Lanes& values, int top) {
  IntLanes codes;
  for (size_t i = 0; i < kLanes / kWidth; ++i) {
    Floats x = values.part[i] > 0.0f ? values.part[i] : Floats{};
    x = x < float(top) ? x : float(top) - Floats{};
    codes.part[i] = __builtin_convertvector(x, Ints);
  }
  return codes;
}

inline float largestLane(const Lanes& lanes) {
  Float4 four[4];
  std::memcpy(four, &lanes, sizeof(four));
  const Float4 a = four[0] > four[2] ? four[0] : four[2];
  const Float4 b = four[1] > four[3] ? four[1] : four[3];
  const Float4 c = a > b ? a : b;
  const float d = c[0] > c[2] ? c[0] : c[2], e = c[1] > c[3] ? c[1] : c[3];
  return d > e ? d : e;
}

// Folds the upper half of the lanes onto the lower, four times.
inline float sumLanes(const Lanes& lanes) {
  Float4 four[4];
  std::memcpy(four, &lanes, sizeof(four));
  const Float4 sum = (four[0] + four[2]) + (four[1] + four[3]);
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
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
    for (size_t i = 0; i < kLanes / kWidth; ++i) {
      Ints bits = Ints{} + first;
#pragma GCC unroll 16
      for (size_t k = 1; k < kCount; ++k) bits ^= (values.part[i] >= bounds[k]) & flips[k];
      levels.part[i] = (Floats)bits;
    }
    return levels;
  }

  IntLanes indices(const Lanes& values) const {
    IntLanes indices;
    for (size_t i = 0; i < kLanes / kWidth; ++i) {
      Ints count = {};
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

inline Lanes inverseOf(const Lanes& step) {
  const Lanes inverse = Lanes::all(1) / step;
  return select(Lanes::all(0x1p127f) > absolute(inverse) * 0.5f, inverse, Lanes::all(0));
}

// trunc(value) within 0 … top, for any value; 0 for NaN.
inline int clampedCode(float value, int top) {
  const float limited = value > 0.0f ? (value < float(top) ? value : float(top)) : 0.0f;
  return int(limited);
}

}  // namespace bitloom

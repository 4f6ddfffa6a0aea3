// SPDX-License-Identifier: GPL-3.0-or-later
// A part of a block in lanes: as many floats as share one scale, a multiple of sixteen.
#pragma once
#include <algorithm>

#include "core/codecs/lanes.h"

namespace bitloom::super_block {

template <size_t kCount>
struct Numbers {
  static_assert(kCount % kLanes == 0);
  static constexpr size_t kGroups = kCount / kLanes;
  Lanes group[kGroups];

  static Numbers load(const float* values) {
    Numbers numbers;
    for (size_t i = 0; i < kGroups; ++i) numbers.group[i] = Lanes::load(values + i * kLanes);
    return numbers;
  }
  static Numbers all(float value) {
    Numbers numbers;
    for (Lanes& lanes : numbers.group) lanes = Lanes::all(value);
    return numbers;
  }
  void store(float* values) const { std::memcpy(values, group, sizeof(group)); }

  float sum() const {
    Lanes total = group[0];
    for (size_t i = 1; i < kGroups; ++i) total = total + group[i];
    return sumLanes(total);
  }

  // The first of those of largest magnitude.
  float peak() const {
    float values[kCount];
    store(values);
    float found = 0;
    for (const float value : values) found = std::fabs(value) > std::fabs(found) ? value : found;
    return found;
  }

  template <typename Operation>
  Numbers mapped(Operation operation) const {
    Numbers numbers;
    for (size_t i = 0; i < kGroups; ++i) numbers.group[i] = operation(group[i]);
    return numbers;
  }

  Numbers operator+(const Numbers& other) const {
    Numbers numbers;
    for (size_t i = 0; i < kGroups; ++i) numbers.group[i] = group[i] + other.group[i];
    return numbers;
  }
  Numbers operator-(const Numbers& other) const {
    Numbers numbers;
    for (size_t i = 0; i < kGroups; ++i) numbers.group[i] = group[i] - other.group[i];
    return numbers;
  }
  Numbers operator*(const Numbers& other) const {
    Numbers numbers;
    for (size_t i = 0; i < kGroups; ++i) numbers.group[i] = group[i] * other.group[i];
    return numbers;
  }
  Numbers operator*(float factor) const {
    return mapped([factor](const Lanes& lanes) { return lanes * factor; });
  }
  Numbers operator+(float summand) const {
    return mapped([summand](const Lanes& lanes) { return lanes + Lanes::all(summand); });
  }
};

// Σ weights · (values − approximation)²
template <size_t kCount>
float squaredError(const Numbers<kCount>& values, const Numbers<kCount>& weights,
                   const Numbers<kCount>& approximation) {
  const Numbers<kCount> errors = values - approximation;
  return (errors * errors * weights).sum();
}

}  // namespace bitloom::super_block

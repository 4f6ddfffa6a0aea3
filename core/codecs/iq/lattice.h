// SPDX-License-Identifier: GPL-3.0-or-later
// Levels (see super_block/levels.h) that are chosen several at a time, from a set of points.
//
// The encoder rounds each coordinate for itself and then weighs up the few points of the set that
// lie nearest to the rounded one. Which these are is tabulated at the first use.
#pragma once
#include <array>
#include <numeric>
#include <string_view>
#include <vector>

#include "core/codecs/super_block/numbers.h"

namespace bitloom::iq {

// Shape: kDimension, 4 or 8; kCount points; kValues, ascending, of a coordinate; kPoints, the bits.
template <typename Shape>
class PointSet {
 public:
  static constexpr size_t kDimension = Shape::kDimension;
  static constexpr size_t kCount = Shape::kCount;
  static constexpr size_t kBase = std::size(Shape::kValues);
  using Point = std::array<float, kDimension>;

  static const PointSet& get() {
    static const PointSet set;
    return set;
  }

  const Point& point(size_t index) const { return m_points[index]; }

  // Of a point of the set.
  size_t indexOf(const float* point) const { return m_indices[cellOf(point)]; }

  size_t nearest(const float* values, const float* weights) const {
    static const Neighbours neighbours(*this);
    const auto& candidates = neighbours.of[cellOf(values)];
    size_t best = candidates[0];
    float least = distance(best, values, weights);
    for (size_t k = 1; k < kNear; ++k) {
      const float candidate = distance(candidates[k], values, weights);
      best = candidate < least ? candidates[k] : best;
      least = candidate < least ? candidate : least;
    }
    return best;
  }

 private:
  static constexpr size_t kNear = 12;

  static constexpr size_t countCells() {
    size_t cells = 1;
    for (size_t i = 0; i < kDimension; ++i) cells *= kBase;
    return cells;
  }
  static constexpr size_t kCells = countCells();

  static Point centre(size_t cell) {
    Point point;
    for (float& value : point) {
      value = Shape::kValues[cell % kBase];
      cell /= kBase;
    }
    return point;
  }

  static size_t cellOf(const float* values) {
    static constexpr Ladder<kBase> kLadder{Shape::kValues};
    size_t cell = 0;
    for (size_t i = kDimension; i-- > 0;) cell = cell * kBase + kLadder.indexOf(values[i]);
    return cell;
  }

  // Σ weights · (values − point)², four partial sums.
  float distance(size_t index, const float* values, const float* weights) const {
    Float4 sum = {};
    for (size_t i = 0; i < kDimension; i += 4) {
      Float4 point, value, weight;
      std::memcpy(&point, &m_points[index][i], sizeof(point));
      std::memcpy(&value, values + i, sizeof(value));
      std::memcpy(&weight, weights + i, sizeof(weight));
      sum += weight * (value - point) * (value - point);
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
  }

  // The points nearest to each cell's centre, for equal weights.
  struct Neighbours {
    std::vector<std::array<uint16_t, kNear>> of;

    explicit Neighbours(const PointSet& set) : of(kCells) {
      float equal[kDimension];
      std::fill_n(equal, kDimension, 1.0f);
      std::vector<std::pair<float, uint16_t>> all(kCount);
      for (size_t cell = 0; cell < kCells; ++cell) {
        const Point middle = centre(cell);
        for (size_t i = 0; i < kCount; ++i) {
          all[i] = {set.distance(i, middle.data(), equal), uint16_t(i)};
        }
        std::partial_sort(all.begin(), all.begin() + kNear, all.end());
        for (size_t k = 0; k < kNear; ++k) of[cell][k] = all[k].second;
      }
    }
  };

  PointSet() : m_indices(kCells) {
    size_t count = 0;
    for (size_t cell = 0; cell < kCells; ++cell) {
      const char digit = Shape::kPoints[cell / 4];
      const int bits = digit <= '9' ? digit - '0' : digit - 'a' + 10;
      if ((bits >> (cell % 4) & 1) == 0 || count == kCount) continue;
      m_indices[cell] = uint16_t(count);
      m_points[count++] = centre(cell);
    }
  }

  std::array<Point, kCount> m_points{};
  std::vector<uint16_t> m_indices;  // by cell; 0 for cells outside the set
};

// Points give magnitudes; every weight has a sign of its own, or (kEven) of every eight weights an
// even number is negative: then the sign that matters least gives way.
template <typename Shape, bool kEven>
struct Signed {
  static constexpr bool kSeparate = false;
  using Points = PointSet<Shape>;
  static constexpr float kPeak = Shape::kValues[std::size(Shape::kValues) - 1];

  template <size_t kCount>
  static super_block::Numbers<kCount> nearest(const super_block::Numbers<kCount>& scaled,
                                              const super_block::Numbers<kCount>& weights) {
    float values[kCount], importances[kCount], levels[kCount];
    scaled.store(values);
    weights.store(importances);
    for (size_t i = 0; i < kCount; i += 8) nearestEight(values + i, importances + i, levels + i);
    return super_block::Numbers<kCount>::load(levels);
  }

  static void nearestEight(const float* values, const float* weights, float* levels) {
    float signs[8], magnitudes[8];
    size_t negative = 0, weakest = 0;
    for (size_t i = 0; i < 8; ++i) {
      negative += values[i] < 0;
      signs[i] = values[i] < 0 ? -1.0f : 1.0f;
      magnitudes[i] = std::fabs(values[i]);
      const float loss = weights[i] * magnitudes[i];
      if (loss < weights[weakest] * magnitudes[weakest]) weakest = i;
    }
    if (kEven && negative % 2 != 0) {
      signs[weakest] = -signs[weakest];
      magnitudes[weakest] = -magnitudes[weakest];
    }
    const Points& set = Points::get();
    for (size_t i = 0; i < 8; i += Shape::kDimension) {
      const auto& point = set.point(set.nearest(magnitudes + i, weights + i));
      for (size_t k = 0; k < Shape::kDimension; ++k) levels[i + k] = signs[i + k] * point[k];
    }
  }

  static size_t indexOf(const float* levels) {
    float magnitudes[Shape::kDimension];
    for (size_t k = 0; k < Shape::kDimension; ++k) magnitudes[k] = std::fabs(levels[k]);
    return Points::get().indexOf(magnitudes);
  }

  // Bit i for weight i; the even form leaves out the eighth, which follows from the others.
  static uint32_t signsOf(const float* levels) {
    uint32_t signs = 0;
    for (uint32_t i = 0; i < (kEven ? 7 : 8); ++i) signs |= uint32_t(levels[i] < 0) << i;
    return signs;
  }

  static void read(size_t index, uint32_t signs, size_t from, float* levels) {
    if (kEven) signs |= uint32_t(__builtin_parity(signs)) << 7;
    const auto& point = Points::get().point(index);
    for (size_t k = 0; k < Shape::kDimension; ++k) {
      levels[k] = signs >> (from + k) & 1 ? -point[k] : point[k];
    }
  }
};

// Points of −1, 0 and 1, and an eighth more or less for each kRun weights.
template <typename Shape, size_t kRun>
struct Shifted {
  static constexpr bool kSeparate = false;
  using Points = PointSet<Shape>;
  static constexpr float kShift = 0.125f;
  static constexpr float kPeak = 1 + kShift;

  template <size_t kCount>
  static super_block::Numbers<kCount> nearest(const super_block::Numbers<kCount>& scaled,
                                              const super_block::Numbers<kCount>& weights) {
    float values[kCount], importances[kCount], levels[kCount];
    scaled.store(values);
    weights.store(importances);
    for (size_t i = 0; i < kCount; i += kRun) {
      float other[kRun];
      const float above = attempt(values + i, importances + i, kShift, levels + i);
      const float below = attempt(values + i, importances + i, -kShift, other);
      if (below < above) std::copy_n(other, kRun, levels + i);
    }
    return super_block::Numbers<kCount>::load(levels);
  }

  static float attempt(const float* values, const float* weights, float shift, float* levels) {
    float error = 0;
    for (size_t i = 0; i < kRun; i += 8) {
      float shifted[8];
      for (size_t k = 0; k < 8; ++k) shifted[k] = values[i + k] - shift;
      read(Points::get().nearest(shifted, weights + i), shift, levels + i);
      for (size_t k = 0; k < 8; ++k) {
        const float rest = values[i + k] - levels[i + k];
        error += weights[i + k] * rest * rest;
      }
    }
    return error;
  }

  static float shiftOf(const float* levels) {
    return levels[0] - std::floor(levels[0]) < 0.5f ? kShift : -kShift;
  }
  static size_t indexOf(const float* levels) { return Points::get().indexOf(levels); }

  static void read(size_t index, float shift, float* levels) {
    const auto& point = Points::get().point(index);
    for (size_t k = 0; k < 8; ++k) levels[k] = point[k] + shift;
  }
};

}  // namespace bitloom::iq

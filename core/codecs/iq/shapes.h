// SPDX-License-Identifier: GPL-3.0-or-later
// The sets of points that each format draws from, and what its formats share.
#pragma once
#include "core/codecs/iq/lattice.h"
#include "core/codecs/iq/points.h"
#include "core/codecs/super_block/planes.h"
#include "core/codecs/super_block/scaled.h"

namespace bitloom::iq {

template <size_t kPointCount, const std::string_view& kBits>
struct Ternary {
  static constexpr size_t kDimension = 8;
  static constexpr size_t kCount = kPointCount;
  static constexpr float kValues[3] = {8, 25, 43};
  static constexpr std::string_view kPoints = kBits;
};

struct Octal256 {
  static constexpr size_t kDimension = 4;
  static constexpr size_t kCount = 256;
  static constexpr float kValues[8] = {4, 12, 20, 28, 36, 44, 52, 62};
  static constexpr std::string_view kPoints = kOctal256;
};

struct Octal512 {
  static constexpr size_t kDimension = 4;
  static constexpr size_t kCount = 512;
  static constexpr float kValues[8] = {1, 3, 5, 7, 9, 11, 13, 15};
  static constexpr std::string_view kPoints = kOctal512;
};

struct Balanced {
  static constexpr size_t kDimension = 8;
  static constexpr size_t kCount = 2048;
  static constexpr float kValues[3] = {-1, 0, 1};
  static constexpr std::string_view kPoints = kPoints2048;
};

// Four times seven signs, then four bits of scale, little-endian.
struct SignsAndScale {
  uint16_t words[2];

  uint32_t signs(size_t run) const { return whole() >> (7 * run) & 127; }
  int scale() const { return int(whole() >> 28); }
  // Into words that are zero so far.
  void addSigns(size_t run, uint32_t signs) { set(whole() | signs << (7 * run)); }
  void addScale(int scale) { set(whole() | uint32_t(scale) << 28); }

 private:
  uint32_t whole() const { return words[0] | uint32_t(words[1]) << 16; }
  void set(uint32_t bits) {
    words[0] = uint16_t(bits);
    words[1] = uint16_t(bits >> 16);
  }
};

// What the formats of this family have in common.
template <size_t kWeightsPerScale>
struct Family : super_block::HalfScale {
  static constexpr size_t kWeights = 256;
  static constexpr size_t kPart = kWeightsPerScale;
  static constexpr bool kSigned = false;
  static constexpr super_block::Trials kTrials = {0.7f, 1.3f, 8};
  static constexpr std::span<const float> kStarts = super_block::kCoarseStarts;
  using Choice = super_block::ScaledChoice<kWeights, kPart>;
};

}  // namespace bitloom::iq

// SPDX-License-Identifier: GPL-3.0-or-later
// TQ3_1S and TQ4_1S: 32 rotated weights, one fp16 scale for each half of them, and a fixed table of
// centroids. Rotated value = scale · centroid[code].
//
// Encoder. The error of a half as a function of its scale is a chain of parabolas with many local
// minima. Trial scales across two octaves around the root mean square give codes; for given codes
// the best scale is least squares and its gain (the energy explained) is known without another
// pass. The two best trials are refined by alternating codes and scale; the scale is then rounded
// to fp16 and the codes are chosen for the rounded scale. On Gaussian weights this is within 0.1 %
// of an exhaustive search.
//
// With column importances the error is not diagonal in this basis (importance.h): starting from the
// plain encoding, coordinate descent over codes alternates with the 2×2 least-squares solution for
// the scales; the encoding of least weighted error is kept, so it is never worse than the plain
// one.
#pragma once
#include <algorithm>
#include <cstring>

#include "core/block_codec.h"
#include "core/codecs/tq/importance.h"
#include "core/half.h"

namespace bitloom::tq {

// `Table`: kLevels, kCentroids (ascending), Bytes with put(const uint8_t*) and get().
template <typename Table>
struct TwoScales {
  static constexpr size_t kHalf = kRotation / 2;
  static constexpr size_t kLevels = Table::kLevels;

  struct Block {
    uint16_t scales[2];
    typename Table::Bytes codes;
  };
  static_assert(sizeof(Block) == 4 + sizeof(typename Table::Bytes));

  struct Choice {
    float scales[2];
    uint8_t codes[kRotation];
  };

  static constexpr Ladder<kLevels> kLadder{Table::kCentroids};

  static constexpr bool isSymmetric() {
    for (size_t k = 0; k < kLevels; ++k) {
      if (Table::kCentroids[k] != -Table::kCentroids[kLevels - 1 - k]) return false;
    }
    return true;
  }

  // A symmetric table needs only its upper half, for magnitudes.
  static constexpr size_t kSteps = isSymmetric() ? kLevels / 2 : kLevels;
  struct Steps {
    float levels[kSteps] = {};
    constexpr Steps() {
      for (size_t k = 0; k < kSteps; ++k) levels[k] = Table::kCentroids[kLevels - kSteps + k];
    }
  };
  static constexpr Ladder<kSteps> kSearch{Steps().levels};

  static uint8_t nearestCode(float value) { return uint8_t(kLadder.indexOf(value)); }

  // Sixteen halves at once, one in each lane.
  struct Halves {
    static constexpr size_t kBlocks = kLanes / 2;
    Lanes row[kHalf];

    static Halves of(const float* rotated) {
      float spread[kHalf][kLanes];
      for (size_t i = 0; i < kHalf; ++i) {
        for (size_t lane = 0; lane < kLanes; ++lane) spread[i][lane] = rotated[lane * kHalf + i];
      }
      Halves halves;
      std::memcpy(halves.row, spread, sizeof(spread));
      if (!isSymmetric()) return halves;
      for (Lanes& lanes : halves.row) lanes = absolute(lanes);
      return halves;
    }
  };

  struct Fit {
    Lanes gain = Lanes::all(0);  // energy of a half that `scale` explains
    Lanes scale = Lanes::all(0);

    static Fit chosen(const IntLanes& mask, const Fit& a, const Fit& b) {
      return {select(mask, a.gain, b.gain), select(mask, a.scale, b.scale)};
    }
  };

  // Codes for `inverse` = 1/scale, and the least-squares scale for those codes.
  static Fit fitScale(const Halves& values, const Lanes& inverse) {
    const Lanes zero = Lanes::all(0);
    Lanes product = zero, square = zero;
    for (const Lanes& row : values.row) {
      const Lanes levels = kSearch.nearest(row * inverse);
      product = product + row * levels;
      square = square + levels * levels;
    }
    const Lanes scale = product / square;
    return {select(product > zero, product * scale, zero), scale};
  }

  static Fit refine(const Halves& values, Fit fit) {
    for (int round = 0; round < kRefinements; ++round) {
      const Fit next = fitScale(values, inverseOf(fit.scale));
      const IntLanes better = next.gain > fit.gain;
      if (!any(better)) break;
      fit = Fit::chosen(better, next, fit);
    }
    return fit;
  }

  static Lanes errorOf(const Halves& values, const Lanes& scale) {
    const Lanes inverse = inverseOf(scale);
    Lanes sum = Lanes::all(0);
    for (const Lanes& row : values.row) {
      const Lanes error = row - kSearch.nearest(row * inverse) * scale;
      sum = sum + error * error;
    }
    return sum;
  }

  static Lanes inverseRms(const Halves& values) {
    Lanes squares = Lanes::all(0);
    for (const Lanes& row : values.row) squares = squares + row * row;
    float rms[kLanes];
    squares.store(rms);
    for (float& value : rms) value = std::sqrt(value * (1.0f / float(kHalf)));
    return inverseOf(Lanes::load(rms));
  }

  // The fp16 scales of the halves; 0 where all is zero.
  static Lanes chooseScales(const Halves& values) {
    const Lanes inverse = inverseRms(values);
    Fit first, second;
    for (const float multiplier : kInverseMultipliers) {
      const Fit fit = fitScale(values, inverse * multiplier);
      const IntLanes best = fit.gain > first.gain;
      second = Fit::chosen(best, first, Fit::chosen(fit.gain > second.gain, fit, second));
      first = Fit::chosen(best, fit, first);
    }
    const Lanes scales =
        betterRounded(values, refine(values, first).scale, refine(values, second).scale);
    return select(inverse > Lanes::all(0), scales, Lanes::all(0));
  }

  static Lanes rounded(const Lanes& scales) {
    float lanes[kLanes];
    scales.store(lanes);
    for (float& scale : lanes) scale = roundToHalf(scale);
    return Lanes::load(lanes);
  }

  // Rounding to fp16 moves codes and may reverse the order of candidates: they are compared anew,
  // together with the best scale for the codes that the first rounded one chooses.
  static Lanes betterRounded(const Halves& values, const Lanes& first, const Lanes& second) {
    Lanes best = rounded(first);
    Lanes error = errorOf(values, best);
    const Lanes again = rounded(fitScale(values, inverseOf(best)).scale);
    for (const Lanes& candidate : {rounded(second), again}) {
      const Lanes other = errorOf(values, candidate);
      const IntLanes better = (error > other) & (candidate > Lanes::all(0));
      best = select(better, candidate, best);
      error = select(better, other, error);
    }
    return best;
  }

  static Choice withCodes(const float* values, const float* scales) {
    Choice choice;
    for (size_t half = 0; half < 2; ++half) {
      choice.scales[half] = scales[half];
      const float inverse = inverseOf(scales[half]);
      const IntLanes indices = kLadder.indices(Lanes::load(values + half * kHalf) * inverse);
      int32_t codes[kHalf];
      std::memcpy(codes, &indices, sizeof(codes));
      for (size_t j = 0; j < kHalf; ++j) choice.codes[half * kHalf + j] = uint8_t(codes[j]);
    }
    return choice;
  }

  static void residual(const float* values, const Choice& choice, float* error) {
    for (size_t j = 0; j < kRotation; ++j) {
      error[j] = Table::kCentroids[choice.codes[j]] * choice.scales[j / kHalf] - values[j];
    }
  }

  // One pass over the codes; `gradient` is G·error and stays up to date. True if any code moved.
  static bool descend(const Importance& importance, Choice& choice, float* gradient) {
    const float curvature = importance.diagonal();
    bool moved = false;
    for (size_t i = 0; i < kRotation; ++i) {
      const float scale = choice.scales[i / kHalf];
      const float inverse = inverseOf(scale);
      const float value = Table::kCentroids[choice.codes[i]] * scale;
      const uint8_t code = nearestCode((value - gradient[i] / curvature) * inverse);
      if (code == choice.codes[i]) continue;
      const float change = Table::kCentroids[code] * scale - value;
      if (!(change * (2 * gradient[i] + change * curvature) < 0)) continue;
      choice.codes[i] = code;
      importance.addRow(i, change, gradient);
      moved = true;
    }
    return moved;
  }

  // Least-squares scales for the codes of `choice`; a scale that would not be positive stays.
  static bool solveScales(const float* values, const Importance& importance, Choice& choice) {
    float parts[2][kRotation] = {};
    for (size_t j = 0; j < kRotation; ++j) {
      parts[j / kHalf][j] = Table::kCentroids[choice.codes[j]];
    }
    float first[kRotation], second[kRotation];
    importance.apply(parts[0], first);
    importance.apply(parts[1], second);
    const float a = dot32(parts[0], first), b = dot32(parts[0], second),
                c = dot32(parts[1], second);
    const float x = dot32(values, first), y = dot32(values, second);
    const float determinant = a * c - b * b;
    if (!(determinant > 1e-5f * a * c)) return false;
    const float solved[2] = {roundToHalf((x * c - y * b) / determinant),
                             roundToHalf((y * a - x * b) / determinant)};
    bool moved = false;
    for (size_t half = 0; half < 2; ++half) {
      if (!(solved[half] > 0) || solved[half] == choice.scales[half]) continue;
      choice.scales[half] = solved[half];
      moved = true;
    }
    return moved;
  }

  static Choice chooseWeighted(const float* values, const Importance& importance, Choice choice) {
    Choice best = choice;
    float bestError = -1;
    float error[kRotation], gradient[kRotation];
    for (int round = 0; round < kRounds; ++round) {
      residual(values, choice, error);
      importance.apply(error, gradient);
      const float before = dot32(error, gradient);
      if (bestError < 0) bestError = before;
      for (int pass = 0; pass < kPasses && descend(importance, choice, gradient); ++pass) continue;
      residual(values, choice, error);
      importance.apply(error, gradient);
      const float after = dot32(error, gradient);
      if (after < bestError) {
        bestError = after;
        best = choice;
      }
      if (!solveScales(values, importance, choice)) break;
    }
    return best;
  }

  // `values` are rotated, `weights` belong to the columns before rotation (null: all equal);
  // `scales` are those of the choice for equal weights.
  static Choice choose(const float* values, const float* weights, const float* scales) {
    const Choice plain = withCodes(values, scales);
    if (weights == nullptr) return plain;
    const float largest = largestImportance(weights, kRotation);
    Importance importance;
    if (!(largest > 0) || !importance.set(weights, largest)) return plain;
    return chooseWeighted(values, importance, plain);
  }

  static void encode(std::span<const float> row, std::span<const float> weights,
                     std::span<std::byte> bytes) {
    constexpr size_t kMost = Halves::kBlocks * kRotation;
    for (size_t at = 0; at < row.size(); at += kMost) {
      const size_t count = std::min(kMost, row.size() - at);
      alignas(16) float values[kMost] = {};
      std::copy_n(&row[at], count, values);
      for (size_t i = 0; i < count; i += kRotation) rotate(values + i);
      float scales[kLanes];
      chooseScales(Halves::of(values)).store(scales);
      for (size_t i = 0; i < count; i += kRotation) {
        const float* importances = weights.empty() ? nullptr : &weights[at + i];
        const Choice choice = choose(values + i, importances, scales + i / kHalf);
        Block block;
        for (size_t h = 0; h < 2; ++h) block.scales[h] = floatToHalf(choice.scales[h]);
        block.codes.put(choice.codes);
        std::memcpy(&bytes[(at + i) / kRotation * sizeof(Block)], &block, sizeof(block));
      }
    }
  }

  static void decodeBlock(const Block& block, float* values) {
    const float scales[2] = {halfToFloat(block.scales[0]), halfToFloat(block.scales[1])};
    const auto codes = block.codes.get();
    alignas(16) float rotated[kRotation];
    for (size_t j = 0; j < kRotation; ++j) {
      rotated[j] = Table::kCentroids[codes[j]] * scales[j / kHalf];
    }
    unrotate(rotated);
    std::copy_n(rotated, kRotation, values);
  }

  struct Rows {
    static uint64_t rowBytes(uint64_t n) {
      return n % kRotation ? 0 : n / kRotation * sizeof(Block);
    }
    static constexpr auto encode = TwoScales::encode;

    static void decode(std::span<const std::byte> bytes, std::span<float> row) {
      for (size_t i = 0; i < row.size() / kRotation; ++i) {
        Block block;
        std::memcpy(&block, &bytes[i * sizeof(Block)], sizeof(Block));
        decodeBlock(block, &row[i * kRotation]);
      }
    }
  };

  static void fit(std::span<const float> values, std::span<const float> weights,
                  std::span<float> parameters) {
    float blocks[Halves::kBlocks * kRotation] = {};
    std::copy(values.begin(), values.end(), blocks);
    float scales[kLanes];
    chooseScales(Halves::of(blocks)).store(scales);
    const float* importances = weights.empty() ? nullptr : weights.data();
    for (size_t i = 0; i < values.size() / kRotation; ++i) {
      const Choice choice = choose(blocks + i * kRotation, importances, scales + 2 * i);
      std::copy_n(choice.scales, 2, &parameters[2 * i]);
    }
  }

  static void round(const float* values, size_t index, std::span<const float> parameters,
                    uint8_t* codes, float* rounded) {
    const float scale = parameters[index / kHalf];
    *codes = nearestCode(*values * inverseOf(scale));
    *rounded = Table::kCentroids[*codes] * scale;
  }

  static void pack(std::span<const float> parameters, std::span<const uint8_t> codes,
                   std::span<std::byte> bytes) {
    Block block;
    for (size_t half = 0; half < 2; ++half) {
      block.scales[half] = floatToHalfClamped(parameters[half]);
    }
    block.codes.put(codes.data());
    std::memcpy(bytes.data(), &block, sizeof(block));
  }

  static constexpr Grid kGrid = {.block = kRotation,
                                 .vector = 1,
                                 .parameters = 2,
                                 .toBasis = rotate,
                                 .fromBasis = unrotate,
                                 .fit = fit,
                                 .round = round,
                                 .pack = pack,
                                 .scaleRun = kHalf,
                                 .fitBlocks = Halves::kBlocks};

 private:
  // 2^(k/8) for k = −8 … 8: trial scales from half to twice the root mean square.
  static constexpr float kInverseMultipliers[] = {
      0.5f,         0.545253866f, 0.594603558f, 0.648419777f, 0.707106781f, 0.771105413f,
      0.840896415f, 0.917004043f, 1.0f,         1.090507733f, 1.189207115f, 1.296839555f,
      1.414213562f, 1.542210825f, 1.681792831f, 1.834008086f, 2.0f};
  static constexpr int kRefinements = 4;
  static constexpr int kRounds = 3;
  static constexpr int kPasses = 2;
};

}  // namespace bitloom::tq

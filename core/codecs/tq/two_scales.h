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

  static Lanes searched(const float* values) {
    const Lanes lanes = Lanes::load(values);
    return isSymmetric() ? absolute(lanes) : lanes;
  }

  static uint8_t nearestCode(float value) { return uint8_t(kLadder.indexOf(value)); }

  struct Fit {
    float gain = 0;  // energy of the half that `scale` explains
    float scale = 0;
  };

  // Codes for `inverse` = 1/scale, and the least-squares scale for those codes.
  static Fit fitScale(const Lanes& values, float inverse) {
    const Lanes levels = kSearch.nearest(values * inverse);
    const float product = sumLanes(values * levels);
    const float scale = product / sumLanes(levels * levels);
    return {product > 0 ? product * scale : 0, scale};
  }

  static Fit refine(const Lanes& values, Fit fit) {
    for (int round = 0; round < kRefinements; ++round) {
      const Fit next = fitScale(values, inverseOf(fit.scale));
      if (!(next.gain > fit.gain)) break;
      fit = next;
    }
    return fit;
  }

  static float halfError(const Lanes& values, float scale) {
    const Lanes errors = values - kSearch.nearest(values * inverseOf(scale)) * scale;
    return sumLanes(errors * errors);
  }

  // The fp16 scale of a half.
  static float chooseScale(const Lanes& values) {
    const float rms = std::sqrt(sumLanes(values * values) * (1.0f / float(kHalf)));
    const float inverse = inverseOf(rms);
    if (inverse == 0) return 0;
    Fit first, second;
    for (const float multiplier : kInverseMultipliers) {
      const Fit fit = fitScale(values, inverse * multiplier);
      if (fit.gain > first.gain) {
        second = first;
        first = fit;
      } else if (fit.gain > second.gain) {
        second = fit;
      }
    }
    return betterRounded(values, refine(values, first).scale, refine(values, second).scale);
  }

  // Rounding to fp16 moves codes and may reverse the order of candidates: they are compared anew,
  // together with the best scale for the codes that the first rounded one chooses.
  static float betterRounded(const Lanes& values, float first, float second) {
    const float rounded = roundToHalf(first);
    float best = rounded;
    float error = halfError(values, rounded);
    const float again = fitScale(values, inverseOf(rounded)).scale;
    for (const float candidate : {roundToHalf(second), roundToHalf(again)}) {
      if (candidate == rounded || !(candidate > 0)) continue;
      const float other = halfError(values, candidate);
      if (other < error) {
        error = other;
        best = candidate;
      }
    }
    return best;
  }

  static void chooseCodes(const float* values, Choice& choice) {
    for (size_t half = 0; half < 2; ++half) {
      const float inverse = inverseOf(choice.scales[half]);
      const Ints indices = kLadder.indices(Lanes::load(values + half * kHalf) * inverse);
      for (size_t j = 0; j < kHalf; ++j) {
        choice.codes[half * kHalf + j] = uint8_t(indices.part[j / 4][j % 4]);
      }
    }
  }

  static Choice choosePlain(const float* values) {
    Choice choice;
    for (size_t half = 0; half < 2; ++half) {
      choice.scales[half] = chooseScale(searched(values + half * kHalf));
    }
    chooseCodes(values, choice);
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

  // `values` are rotated, `weights` belong to the columns before rotation (null: all equal).
  static Choice choose(const float* values, const float* weights) {
    const Choice plain = choosePlain(values);
    if (weights == nullptr) return plain;
    const float largest = largestImportance(weights, kRotation);
    Importance importance;
    if (!(largest > 0) || !importance.set(weights, largest)) return plain;
    return chooseWeighted(values, importance, plain);
  }

  static void encodeBlock(const float* weights32, const float* importances, Block& block) {
    alignas(16) float values[kRotation];
    std::copy_n(weights32, kRotation, values);
    rotate(values);
    const Choice choice = choose(values, importances);
    for (size_t half = 0; half < 2; ++half) block.scales[half] = floatToHalf(choice.scales[half]);
    block.codes.put(choice.codes);
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

  using Rows = BlockCodec<kRotation, Block, encodeBlock, decodeBlock>;

  static void fit(std::span<const float> values, std::span<const float> weights,
                  std::span<float> parameters) {
    const Choice choice = choose(values.data(), weights.empty() ? nullptr : weights.data());
    std::copy_n(choice.scales, 2, parameters.data());
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
                                 .pack = pack};

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

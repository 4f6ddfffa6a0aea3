// SPDX-License-Identifier: GPL-3.0-or-later
// Super-blocks of 256 weights whose parts have small integer scales and minima under two fp16
// numbers:  weight = (d · scale) · code − dmin · minimum.
//
// The encoder minimises the importance-weighted squared error itself. Each part finds its own best
// line (trial steps, each followed by least squares); several pairs (d, dmin) that put the largest
// part near the last step are tried; parts take the best of the integer pairs next to their own
// line; then (d, dmin) and the integers take turns, the former by least squares, rounded to fp16
// before the latter are chosen. dmin is negative where all weights of a block are positive. With
// importances the choice made without them competes too, so they never do harm.
#pragma once
#include <array>

#include "core/block_codec.h"
#include "core/codecs/super_block/levels.h"
#include "core/codecs/super_block/scaled.h"

namespace bitloom::super_block {

template <size_t kWeights, size_t kPart>
struct OffsetChoice {
  float scale = 0;
  float minimum = 0;
  std::array<int, kWeights / kPart> scales{};
  std::array<int, kWeights / kPart> minima{};
  alignas(64) std::array<float, kWeights> levels{};
};

// Σ weights · … of a part with given codes.
struct LineMoments {
  float total, first, square;  // 1, code, code²
  float value, product;        // value, value · code

  template <size_t kCount>
  static LineMoments of(const Numbers<kCount>& values, const Numbers<kCount>& weights,
                        const Numbers<kCount>& codes) {
    LineMoments sums;
    sums.total = weights.sum();
    sums.value = (weights * values).sum();
    sums.setCodes(values, weights, codes);
    return sums;
  }

  template <size_t kCount>
  void setCodes(const Numbers<kCount>& values, const Numbers<kCount>& weights,
                const Numbers<kCount>& codes) {
    const Numbers<kCount> weighted = weights * codes;
    first = weighted.sum();
    square = (weighted * codes).sum();
    product = (weighted * values).sum();
  }
};

// The nearest stored scale and the one on the other side of `value`.
inline std::array<float, 2> halvesAround(float value) {
  const float nearest = storedScale(value);
  const bool outward = std::fabs(value) > std::fabs(nearest);
  const uint16_t bits = floatToHalf(nearest);
  if ((bits & 0x7fff) < 2 || (bits & 0x7fff) >= 0x7bff) return {nearest, nearest};
  return {nearest, halfToFloat(uint16_t(outward ? bits + 1 : bits - 1))};
}

// value ≈ slope · code + start, in a part's own best way.
struct Line {
  float gain = -1;  // weighted energy that the line explains
  float slope = 0;
  float start = 0;

  static Line through(const LineMoments& sums) {
    const float determinant = sums.total * sums.square - sums.first * sums.first;
    if (!(determinant > 1e-6f * sums.total * sums.square)) return {};
    Line line;
    line.slope = (sums.total * sums.product - sums.first * sums.value) / determinant;
    line.start = (sums.square * sums.value - sums.first * sums.product) / determinant;
    line.gain = line.slope * sums.product + line.start * sums.value;
    return line;
  }
  static Line throughZero(const LineMoments& sums) {
    if (!(sums.square > 0)) return {};
    return {sums.product / sums.square * sums.product, sums.product / sums.square, 0};
  }
  static Line flat(const LineMoments& sums) {
    if (!(sums.total > 0)) return {};
    return {sums.value / sums.total * sums.value, 0, sums.value / sums.total};
  }
};

// Format: kWeights, kPart; kTopCode; kTopStep, of scales and minima; kTrials; Block; read, write.
template <typename Format>
struct Offset {
  using Self = Offset;
  static constexpr size_t kWeights = Format::kWeights;
  static constexpr size_t kPart = Format::kPart;
  static constexpr size_t kParts = kWeights / kPart;
  static constexpr float kTopCode = float(Format::kTopCode);
  using Levels = Even<0, Format::kTopCode>;
  using Block = typename Format::Block;
  using Choice = OffsetChoice<kWeights, kPart>;
  using Part = Numbers<kPart>;

  struct Search {
    const float* values;
    const float* weights;
    float sign;  // of dmin
    std::array<Line, kParts> lines;

    Part valuesOf(size_t part) const { return Part::load(values + part * kPart); }
    Part weightsOf(size_t part) const { return Part::load(weights + part * kPart); }

    Search(const float* row, const float* importances) : values(row), weights(importances) {
      sign = *std::min_element(row, row + kWeights) > 0 ? -1.0f : 1.0f;
      for (size_t p = 0; p < kParts; ++p) lines[p] = ownLine(p);
    }

    // The line of a part's codes that the signs of d and dmin allow.
    Line allowed(const LineMoments& sums) const {
      Line line = Line::through(sums);
      if (line.gain < 0) line = Line::flat(sums);
      if (sign * line.start > 0) line = Line::throughZero(sums);
      return line.slope >= 0 ? line : Line{};
    }

    Line ownLine(size_t part) const {
      const Part row = valuesOf(part);
      const Part importances = weightsOf(part);
      const float* first = values + part * kPart;
      float low = *std::min_element(first, first + kPart);
      const float high = *std::max_element(first, first + kPart);
      if (sign * low > 0) low = 0;
      Line best;
      LineMoments sums = LineMoments::of(row, importances, Part::all(0));
      const auto attempt = [&](float start, float inverse) {
        const Part codes = Levels::nearest((row + -start) * inverse, importances);
        sums.setCodes(row, importances, codes);
        const Line line = allowed(sums);
        if (line.gain > best.gain) best = line;
      };
      for (int trial = -Format::kTrials; trial <= Format::kTrials; ++trial) {
        const float shift = 0.7f * float(trial) / float(Format::kTrials);
        attempt(low, inverseOf((high - low) / (kTopCode + shift * (1 + kTopCode / 30))));
      }
      for (int round = 0; round < 2; ++round) attempt(best.start, inverseOf(best.slope));
      return best;
    }

    // Integers and codes of one part for the pair (d, dmin); the error.
    float assignPart(size_t p, Choice& choice) const {
      const Part row = valuesOf(p);
      const Part importances = weightsOf(p);
      const float total = importances.sum();
      const int middle =
          clampedRound(lines[p].slope * inverseOf(choice.scale), 0, Format::kTopStep);
      const float inverseMinimum = -inverseOf(choice.minimum);
      float least = -1;
      for (int step = std::max(middle - 1, 0); step <= std::min(middle + 1, Format::kTopStep);
           ++step) {
        const float slope = choice.scale * float(step);
        const float inverse = inverseOf(slope);
        float start = lines[p].start;
        for (int round = 0; round < 2; ++round) {
          const int floor = clampedRound(start * inverseMinimum, 0, Format::kTopStep);
          const float offset = choice.minimum * float(floor);
          const Part codes = Levels::nearest((row + offset) * inverse, importances);
          const Part rest = row - codes * slope;
          start = total > 0 ? (rest * importances).sum() / total : 0.0f;
          const float error = squaredError(rest, importances, Part::all(-offset));
          if (least >= 0 && !(error < least)) continue;
          least = error;
          choice.scales[p] = step;
          choice.minima[p] = floor;
          codes.store(&choice.levels[p * kPart]);
        }
      }
      return least;
    }

    float assign(Choice& choice) const {
      float error = 0;
      for (size_t p = 0; p < kParts; ++p) error += assignPart(p, choice);
      return error;
    }

    // (d, dmin) by least squares for the integers and codes of a choice; each part's own line for
    // its codes. False when they determine no pair.
    bool refit(Choice& choice) {
      float square = 0, cross = 0, total = 0, product = 0, value = 0;
      for (size_t p = 0; p < kParts; ++p) {
        const LineMoments sums =
            LineMoments::of(valuesOf(p), weightsOf(p), Part::load(&choice.levels[p * kPart]));
        const float slope = float(choice.scales[p]);
        const float floor = -float(choice.minima[p]);
        square += slope * slope * sums.square;
        cross += slope * floor * sums.first;
        total += floor * floor * sums.total;
        product += slope * sums.product;
        value += floor * sums.value;
        const Line line = allowed(sums);
        if (line.gain >= 0) lines[p] = line;
      }
      const float determinant = square * total - cross * cross;
      if (!(determinant > 1e-6f * square * total)) {
        if (!(square > 0) || total > 0) return false;
        choice.scale = storedScale(product / square);
        return true;
      }
      const float scale = (total * product - cross * value) / determinant;
      const float minimum = (square * value - cross * product) / determinant;
      float least = -1;
      for (const float a : halvesAround(scale)) {
        for (const float b : halvesAround(minimum)) {
          const float da = a - scale;
          const float db = b - minimum;
          const float excess = square * da * da + 2 * cross * da * db + total * db * db;
          if (least >= 0 && !(excess < least)) continue;
          least = excess;
          choice.scale = a;
          choice.minimum = b;
        }
      }
      return choice.scale >= 0 && sign * choice.minimum >= 0;
    }
  };

  // Where the largest slope and the lowest start lie among the steps.
  static constexpr struct {
    float scale, minimum;
  } kStarts[] = {{1.0f, 1.0f}, {0.97f, 0.97f}, {0.9f, 0.97f}, {0.97f, 0.9f}};
  static constexpr int kRefinements = 4;

  static Choice choose(const float* values, const float* weights) {
    Search search(values, weights);
    float slope = 0, start = 0;
    for (const Line& line : search.lines) {
      slope = std::max(slope, line.slope);
      start = std::max(start, std::fabs(line.start));
    }
    Choice best;
    float least = -1;
    const auto compete = [&](Choice& choice) {
      const float error = search.assign(choice);
      if (least >= 0 && !(error < least)) return false;
      least = error;
      best = choice;
      return true;
    };
    for (const auto& at : kStarts) {
      Choice choice;
      choice.scale = storedScale(slope / (at.scale * float(Format::kTopStep)));
      choice.minimum = search.sign * storedScale(start / (at.minimum * float(Format::kTopStep)));
      compete(choice);
    }
    for (int round = 0; round < kRefinements; ++round) {
      Choice choice = best;
      if (!search.refit(choice) || !compete(choice)) break;
    }
    return best;
  }

  static void encodeBlock(const float* values, const float* weights, Block& block) {
    block = {};
    Format::write(chooseWeighted<Self>(values, weights), block);
  }

  static void decodeBlock(const Block& block, float* values) {
    Choice choice;
    Format::read(block, choice);
    expand(choice, values);
  }

  static void expand(const Choice& choice, float* values) {
    for (size_t p = 0; p < kParts; ++p) {
      const float slope = choice.scale * float(choice.scales[p]);
      const float offset = choice.minimum * float(choice.minima[p]);
      for (size_t i = p * kPart; i < (p + 1) * kPart; ++i) {
        values[i] = slope * choice.levels[i] - offset;
      }
    }
  }

  using Rows = BlockCodec<kWeights, Block, encodeBlock, decodeBlock>;

  // Parameters: d, dmin, then scale and minimum of each part.
  static void fit(std::span<const float> values, std::span<const float> weights,
                  std::span<float> parameters) {
    const Choice choice =
        chooseWeighted<Self>(values.data(), weights.empty() ? nullptr : weights.data());
    parameters[0] = choice.scale;
    parameters[1] = choice.minimum;
    for (size_t p = 0; p < kParts; ++p) {
      parameters[2 + 2 * p] = float(choice.scales[p]);
      parameters[3 + 2 * p] = float(choice.minima[p]);
    }
  }

  static void round(const float* values, size_t index, std::span<const float> parameters,
                    uint8_t* codes, float* rounded) {
    const size_t p = index / kPart;
    const float slope = parameters[0] * parameters[2 + 2 * p];
    const float offset = parameters[1] * parameters[3 + 2 * p];
    const int code = Levels::nearestCode((*values + offset) * inverseOf(slope));
    *codes = uint8_t(code);
    *rounded = slope * Levels::level(code) - offset;
  }

  static void pack(std::span<const float> parameters, std::span<const uint8_t> codes,
                   std::span<std::byte> bytes) {
    Choice choice;
    choice.scale = parameters[0];
    choice.minimum = parameters[1];
    for (size_t p = 0; p < kParts; ++p) {
      choice.scales[p] = int(parameters[2 + 2 * p]);
      choice.minima[p] = int(parameters[3 + 2 * p]);
    }
    for (size_t i = 0; i < kWeights; ++i) choice.levels[i] = float(codes[i]);
    Block block = {};
    Format::write(choice, block);
    std::memcpy(bytes.data(), &block, sizeof(block));
  }

  static constexpr Grid kGrid = {.block = kWeights,
                                 .vector = 1,
                                 .parameters = 2 + 2 * kParts,
                                 .toBasis = nullptr,
                                 .fromBasis = nullptr,
                                 .fit = fit,
                                 .round = round,
                                 .pack = pack};
};

}  // namespace bitloom::super_block

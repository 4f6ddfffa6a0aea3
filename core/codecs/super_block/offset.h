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
#include "core/codecs/super_block/spread.h"

namespace bitloom::super_block {

template <size_t kWeights, size_t kPart>
struct OffsetChoice {
  float scale = 0;
  float minimum = 0;
  std::array<int, kWeights / kPart> scales{};
  std::array<int, kWeights / kPart> minima{};
  alignas(64) std::array<float, kWeights> levels{};
};

// Σ weights · … of each part with given codes.
struct LineMoments {
  Lanes total, value;            // 1, value
  Lanes first, square, product;  // code, code², value · code
};

// The nearest stored scale and the one on the other side of `value`.
inline std::array<float, 2> halvesAround(float value) {
  const float nearest = storedScale(value);
  const bool outward = std::fabs(value) > std::fabs(nearest);
  const uint16_t bits = floatToHalf(nearest);
  if ((bits & 0x7fff) < 2 || (bits & 0x7fff) >= 0x7bff) return {nearest, nearest};
  return {nearest, halfToFloat(uint16_t(outward ? bits + 1 : bits - 1))};
}

// value ≈ slope · code + start, in each part's own best way.
struct Lines {
  Lanes gain = Lanes::all(-1);  // weighted energy that the line explains
  Lanes slope = Lanes::all(0);
  Lanes start = Lanes::all(0);

  static Lines chosen(const IntLanes& mask, const Lines& a, const Lines& b) {
    return {select(mask, a.gain, b.gain), select(mask, a.slope, b.slope),
            select(mask, a.start, b.start)};
  }
  void improve(const Lines& other) { *this = chosen(other.gain > gain, other, *this); }

  static Lines through(const LineMoments& sums) {
    const Lanes determinant = sums.total * sums.square - sums.first * sums.first;
    const Lanes inverse = Lanes::all(1) / determinant;
    Lines line;
    line.slope = (sums.total * sums.product - sums.first * sums.value) * inverse;
    line.start = (sums.square * sums.value - sums.first * sums.product) * inverse;
    line.gain = line.slope * sums.product + line.start * sums.value;
    return chosen(determinant > sums.total * sums.square * 1e-6f, line, {});
  }
  static Lines throughZero(const LineMoments& sums) {
    const Lanes slope = sums.product / sums.square;
    return chosen(sums.square > Lanes::all(0), {slope * sums.product, slope, Lanes::all(0)}, {});
  }
  static Lines flat(const LineMoments& sums) {
    const Lanes start = sums.value / sums.total;
    return chosen(sums.total > Lanes::all(0), {start * sums.value, Lanes::all(0), start}, {});
  }
};

// Format: kWeights, kPart; Levels, kTopCode; kTopStep, of scales and minima; kTrials; Block; read,
// write.
template <typename Format>
struct Offset {
  using Self = Offset;
  static constexpr size_t kWeights = Format::kWeights;
  static constexpr size_t kPart = Format::kPart;
  static constexpr size_t kParts = kWeights / kPart;
  static constexpr float kTopCode = float(Format::kTopCode);
  using Levels = typename Format::Levels;
  using Block = typename Format::Block;
  using Choice = OffsetChoice<kWeights, kPart>;
  using Laid = Spread<kWeights, kPart>;
  static constexpr size_t kDepth = Laid::kDepth;

  // What `assign` yields: of each part, in lanes.
  struct Assigned {
    float scale = 0;
    float minimum = 0;
    Lanes scales = Lanes::all(0);
    Lanes minima = Lanes::all(0);
    float error = -1;
  };

  struct Search {
    Laid values;
    Laid weights;
    float sign;  // of dmin
    LineMoments sums;
    Lines lines;

    Search(const float* row, const float* importances)
        : values(Laid::of(row)), weights(Laid::of(importances)) {
      sign = *std::min_element(row, row + kWeights) > 0 ? -1.0f : 1.0f;
      sums.total = sums.value = Lanes::all(0);
      for (size_t k = 0; k < kDepth; ++k) {
        sums.total = sums.total + weights.row[k];
        sums.value = sums.value + weights.row[k] * values.row[k];
      }
      sums.total = Laid::sums(sums.total);
      sums.value = Laid::sums(sums.value);
      findLines();
    }

    static Lanes codesOf(const Lanes& scaled) {
      return clampedLevels(scaled + Lanes::all(0.5f), kTopCode);
    }

    void setCodes(size_t k, const Lanes& codes) {
      const Lanes weighted = weights.row[k] * codes;
      sums.first = sums.first + weighted;
      sums.square = sums.square + weighted * codes;
      sums.product = sums.product + weighted * values.row[k];
    }

    // The lines for codes round((value − start) · inverse) that the signs of d and dmin allow.
    Lines fitted(const Lanes& start, const Lanes& inverse) {
      sums.first = sums.square = sums.product = Lanes::all(0);
      for (size_t k = 0; k < kDepth; ++k) {
        setCodes(k, codesOf((values.row[k] - start) * inverse));
      }
      sums.first = Laid::sums(sums.first);
      sums.square = Laid::sums(sums.square);
      sums.product = Laid::sums(sums.product);
      return allowed();
    }

    Lines allowed() const {
      const Lanes zero = Lanes::all(0);
      Lines line = Lines::through(sums);
      line = Lines::chosen(zero > line.gain, Lines::flat(sums), line);
      line = Lines::chosen(line.start * sign > zero, Lines::throughZero(sums), line);
      return Lines::chosen(zero > line.slope, {}, line);
    }

    void findLines() {
      Lanes low = values.row[0], high = values.row[0];
      for (size_t k = 1; k < kDepth; ++k) {
        low = smaller(low, values.row[k]);
        high = larger(high, values.row[k]);
      }
      low = Laid::folded(low, smaller);
      high = Laid::folded(high, larger);
      low = select(low * sign > Lanes::all(0), Lanes::all(0), low);
      for (int trial = -Format::kTrials; trial <= Format::kTrials; ++trial) {
        const float shift = 0.7f * float(trial) / float(Format::kTrials);
        const float steps = kTopCode + shift * (1 + kTopCode / 30);
        lines.improve(fitted(low, inverseOf((high - low) * (1 / steps))));
      }
      for (int round = 0; round < 2; ++round) {
        lines.improve(fitted(lines.start, inverseOf(lines.slope)));
      }
    }

    // Integers of the parts for the pair (d, dmin): the best of those next to their own lines.
    Assigned assign(float scale, float minimum) const {
      Assigned choice{scale, minimum};
      const float top = float(Format::kTopStep);
      const Lanes half = Lanes::all(0.5f);
      const Lanes inverseMinimum = Lanes::all(-inverseOf(minimum));
      const Lanes inverseTotal = inverseOf(sums.total);
      const Lanes middle = clampedLevels(lines.slope * inverseOf(scale) + half, top);
      Lanes least = Lanes::all(-1);
      for (int change = -1; change <= 1; ++change) {
        const Lanes step = clampedLevels(middle + Lanes::all(float(change)), top);
        const Lanes slope = step * scale;
        const Lanes inverse = inverseOf(slope);
        Lanes start = lines.start;
        for (int round = 0; round < 2; ++round) {
          const Lanes floor = clampedLevels(start * inverseMinimum + half, top);
          const Lanes offset = floor * minimum;
          Lanes rests = Lanes::all(0), errors = Lanes::all(0);
          for (size_t k = 0; k < kDepth; ++k) {
            const Lanes shifted = values.row[k] + offset;
            const Lanes rest = shifted - codesOf(shifted * inverse) * slope;
            const Lanes weighted = rest * weights.row[k];
            rests = rests + weighted;
            errors = errors + weighted * rest;
          }
          const Lanes error = Laid::sums(errors);
          start = Laid::sums(rests) * inverseTotal - offset;
          const IntLanes better =
              select(Lanes::all(0) > least, Lanes::all(1), least - error) > Lanes::all(0);
          least = select(better, error, least);
          choice.scales = select(better, step, choice.scales);
          choice.minima = select(better, floor, choice.minima);
        }
      }
      choice.error = Laid::total(least);
      return choice;
    }

    Lanes codes(const Assigned& choice, size_t k) const {
      const Lanes offset = choice.minima * choice.minimum;
      return codesOf((values.row[k] + offset) * inverseOf(choice.scales * choice.scale));
    }

    // (d, dmin) by least squares for the integers and codes of a choice; each part's own line for
    // its codes. False when they determine no pair.
    bool refit(const Assigned& choice, float& scale, float& minimum) {
      scale = choice.scale;
      const Lanes offset = choice.minima * choice.minimum;
      const Lines line = fitted(-offset, inverseOf(choice.scales * choice.scale));
      lines = Lines::chosen(line.gain > Lanes::all(-0.5f), line, lines);
      const Lanes floor = -choice.minima;
      const float square = Laid::total(choice.scales * choice.scales * sums.square);
      const float cross = Laid::total(choice.scales * floor * sums.first);
      const float total = Laid::total(floor * floor * sums.total);
      const float product = Laid::total(choice.scales * sums.product);
      const float value = Laid::total(floor * sums.value);
      minimum = choice.minimum;
      const float determinant = square * total - cross * cross;
      if (!(determinant > 1e-6f * square * total)) {
        if (!(square > 0) || total > 0) return false;
        scale = storedScale(product / square);
        return true;
      }
      const float a0 = (total * product - cross * value) / determinant;
      const float b0 = (square * value - cross * product) / determinant;
      float least = -1;
      for (const float a : halvesAround(a0)) {
        for (const float b : halvesAround(b0)) {
          const float excess = square * (a - a0) * (a - a0) + 2 * cross * (a - a0) * (b - b0) +
                               total * (b - b0) * (b - b0);
          if (least >= 0 && !(excess < least)) continue;
          least = excess;
          scale = a;
          minimum = b;
        }
      }
      return scale >= 0 && sign * minimum >= 0;
    }
  };

  // Where the largest slope and the lowest start lie among the steps.
  static constexpr struct {
    float scale = 0, minimum = 0;
  } kStarts[] = {{1.0f, 1.0f}, {0.97f, 0.97f}, {0.9f, 0.97f}, {0.97f, 0.9f}};
  static constexpr int kRefinements = 4;

  static Choice choose(const float* values, const float* weights) {
    Search search(values, weights);
    float slopes[kLanes], starts[kLanes];
    search.lines.slope.store(slopes);
    absolute(search.lines.start).store(starts);
    const float slope = *std::max_element(slopes, slopes + kLanes);
    const float start = *std::max_element(starts, starts + kLanes);
    Assigned best;
    const auto compete = [&](float scale, float minimum) {
      const Assigned choice = search.assign(scale, minimum);
      if (best.error >= 0 && !(choice.error < best.error)) return false;
      best = choice;
      return true;
    };
    for (const auto& at : kStarts) {
      compete(storedScale(slope / (at.scale * float(Format::kTopStep))),
              search.sign * storedScale(start / (at.minimum * float(Format::kTopStep))));
    }
    for (int round = 0; round < kRefinements; ++round) {
      float scale = 0, minimum = 0;
      if (!search.refit(best, scale, minimum) || !compete(scale, minimum)) break;
    }
    // Nothing is left but what rounding the pair costs: whose neighbour suits all parts is luck.
    if (best.error < kRoundingLoss * energyOf<kWeights>(values, weights)) {
      const Assigned middle = best;
      for (int away = -kNeighbours; away <= kNeighbours; ++away) {
        for (const float minimum :
             {middle.minimum, neighbourOf(middle.minimum, 1), neighbourOf(middle.minimum, -1)}) {
          compete(neighbourOf(middle.scale, away), minimum);
        }
        compete(middle.scale, neighbourOf(middle.minimum, away));
      }
    }
    return written(search, best);
  }

  static Choice written(const Search& search, const Assigned& best) {
    Choice choice;
    choice.scale = best.scale;
    choice.minimum = best.minimum;
    for (size_t p = 0; p < kParts; ++p) {
      choice.scales[p] = int(best.scales[p]);
      choice.minima[p] = int(best.minima[p]);
    }
    Laid codes;
    for (size_t k = 0; k < kDepth; ++k) codes.row[k] = search.codes(best, k);
    codes.store(choice.levels.data());
    return choice;
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

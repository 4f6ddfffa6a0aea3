// SPDX-License-Identifier: GPL-3.0-or-later
// Chooses scale, scale bits and codes of one TQn_1Bg block, in the rotated basis.
//
// Plain. For a given scale each group takes the table with the smaller error, each weight its
// nearest level. For given bits and codes the best scale is least squares. The two alternate from
// several starts; the scale is rounded to fp16 before the last choice of bits and codes.
// A group's members are kept `groups` apart (transposed), so that every loop runs over groups in
// lanes; with a = |value|/unit the error of a table is Σa² − (2Σa·level − Σlevel²), so the larger
// parenthesis (its *score*) wins and no error is ever formed.
//
// With column importances: coordinate descent over whole groups (both tables tried, members in
// order, each seeing the earlier ones' changes) on the exact error, alternating with the least-
// squares scale; the best encoding seen is kept, so it is never worse than the plain one.
#pragma once
#include <algorithm>
#include <cmath>

#include "core/codecs/tq/importance.h"
#include "core/codecs/tq_1b/format.h"

namespace bitloom::tq_1b {

template <typename Table, size_t kCount>  // kCount: 128, or 64 for a half block
struct Encoder {
  using Layout = Format<Table>;
  using Choice = typename Layout::Choice;
  static constexpr size_t kGroup = Table::kGroup;
  static constexpr size_t kGroups = kCount / kGroup;
  static constexpr size_t kWidth = kGroups < kLanes ? kGroups : kLanes;
  static constexpr size_t kRotations = kCount / tq::kRotation;

  struct Transposed {
    alignas(64) float sizes[kGroup][kGroups];  // |value|
  };

  struct Fit {
    float gain = 0;   // energy that `scale` explains
    float scale = 0;  // per table entry · 64
  };

  static float nearestMagnitude(size_t bit, float size) {
    float level = Layout::magnitude(bit, 0);
    for (size_t k = 1; k < Layout::kMagnitudes; ++k) {
      level = size >= Layout::boundary(bit, k) ? Layout::magnitude(bit, k) : level;
    }
    return level;
  }

  // Sums over one group per lane: Σ a·level and Σ level² for one table.
  struct Sums {
    float products[kWidth] = {};
    float squares[kWidth] = {};
  };

  template <size_t kBit>
  static void accumulate(const float* sizes, float inverse, Sums& sums) {
    for (size_t lane = 0; lane < kWidth; ++lane) {
      const float size = sizes[lane] * inverse;
      const float level = nearestMagnitude(kBit, size);
      sums.products[lane] += size * level;
      sums.squares[lane] += level * level;
    }
  }

  static void tableSums(const Transposed& block, size_t base, float inverse, Sums (&sums)[2]) {
    for (size_t member = 0; member < kGroup; ++member) {
      accumulate<0>(&block.sizes[member][base], inverse, sums[0]);
      accumulate<1>(&block.sizes[member][base], inverse, sums[1]);
    }
  }

  static bool prefersSecond(const Sums (&sums)[2], size_t lane) {
    return 2 * sums[1].products[lane] - sums[1].squares[lane] >
           2 * sums[0].products[lane] - sums[0].squares[lane];
  }

  // Bits and codes for `scale`, and the least-squares scale for those.
  static Fit fitScale(const Transposed& block, float scale) {
    const float inverse = inverseOf(scale * kUnit);
    float products[kLanes] = {};
    float squares[kLanes] = {};
    for (size_t base = 0; base < kGroups; base += kWidth) {
      Sums sums[2];
      tableSums(block, base, inverse, sums);
      for (size_t lane = 0; lane < kWidth; ++lane) {
        const bool second = prefersSecond(sums, lane);
        products[lane] += second ? sums[1].products[lane] : sums[0].products[lane];
        squares[lane] += second ? sums[1].squares[lane] : sums[0].squares[lane];
      }
    }
    const float product = sumLanes(products);  // of values in units of scale/64
    const float fitted = product / sumLanes(squares);
    const float unit = scale * kUnit;
    return {product > 0 ? product * fitted * unit * unit : 0, fitted * scale};
  }

  static Fit refine(const Transposed& block, Fit fit) {
    for (int round = 0; round < kRefinements; ++round) {
      const Fit next = fitScale(block, fit.scale);
      if (!(next.gain > fit.gain)) break;
      fit = next;
    }
    return fit;
  }

  static float chooseScale(const Transposed& block) {
    float squares[kLanes] = {};
    for (size_t member = 0; member < kGroup; ++member) {
      for (size_t group = 0; group < kGroups; ++group) {
        squares[group % kLanes] += block.sizes[member][group] * block.sizes[member][group];
      }
    }
    const float rms = std::sqrt(sumLanes(squares) * (1.0f / float(kCount)));
    Fit first, second;
    for (const float start : kStarts) {
      const Fit fit = fitScale(block, rms * start);
      if (fit.gain > first.gain) {
        second = first;
        first = fit;
      } else if (fit.gain > second.gain) {
        second = fit;
      }
    }
    first = refine(block, first);
    second = refine(block, second);
    return roundToHalf(first.gain >= second.gain ? first.scale : second.scale);
  }

  static void chooseCodes(const float* values, const Transposed& block, Choice& choice) {
    const float inverse = inverseOf(choice.scale * kUnit);
    for (size_t base = 0; base < kGroups; base += kWidth) {
      Sums sums[2];
      tableSums(block, base, inverse, sums);
      for (size_t lane = 0; lane < kWidth; ++lane) {
        choice.bits[base + lane] = prefersSecond(sums, lane);
      }
    }
    for (size_t i = 0; i < kCount; ++i) {
      const float value = values[i] * inverse;
      const uint8_t codes[2] = {Layout::nearestCode(0, value), Layout::nearestCode(1, value)};
      choice.codes[i] = codes[choice.bits[i / kGroup]];
    }
  }

  static Choice choosePlain(const float* values) {
    Transposed block;
    for (size_t i = 0; i < kCount; ++i) {
      block.sizes[i % kGroup][i / kGroup] = std::fabs(values[i]);
    }
    Choice choice;
    choice.scale = chooseScale(block);
    chooseCodes(values, block, choice);
    return choice;
  }

  static float valueAt(const Choice& choice, size_t i) {
    return Layout::level(choice.bits[i / kGroup], choice.codes[i]) * (choice.scale * kUnit);
  }

  // What a group would change to with a given table.
  struct Move {
    float gain = 0;  // change of the weighted error; negative is better
    uint8_t codes[kGroup] = {};
    float changes[kGroup] = {};
  };

  static Move tryTable(const tq::Importance& importance, const Choice& choice,
                       const float* gradient, size_t first, size_t bit) {
    const float unit = choice.scale * kUnit;
    const float inverse = inverseOf(unit);
    Move move;
    for (size_t i = 0; i < kGroup; ++i) {
      const size_t at = (first + i) % tq::kRotation;
      float slope = gradient[at];
      for (size_t j = 0; j < i; ++j) {
        slope += move.changes[j] * importance.row(at)[(first + j) % tq::kRotation];
      }
      const float value = valueAt(choice, first + i);
      const uint8_t code =
          Layout::nearestCode(bit, (value - slope / importance.diagonal()) * inverse);
      const float change = Layout::level(bit, code) * unit - value;
      move.codes[i] = code;
      move.changes[i] = change;
      move.gain += change * (2 * slope + change * importance.diagonal());
    }
    return move;
  }

  // One pass over the groups of one rotation block; `gradient` is G·error of that block.
  static bool descend(const tq::Importance& importance, size_t rotation, Choice& choice,
                      float* gradient) {
    bool moved = false;
    for (size_t i = 0; i < tq::kRotation; i += kGroup) {
      const size_t first = rotation * tq::kRotation + i;
      const Move moves[2] = {tryTable(importance, choice, gradient, first, 0),
                             tryTable(importance, choice, gradient, first, 1)};
      const size_t bit = moves[1].gain < moves[0].gain;
      const Move& move = moves[bit];
      if (!(move.gain < 0)) continue;
      choice.bits[first / kGroup] = uint8_t(bit);
      for (size_t j = 0; j < kGroup; ++j) {
        choice.codes[first + j] = move.codes[j];
        if (move.changes[j] == 0) continue;
        const float* row = importance.row(i + j);
        for (size_t k = 0; k < tq::kRotation; ++k) gradient[k] += move.changes[j] * row[k];
      }
      moved = true;
    }
    return moved;
  }

  static float weightedError(const float* values, const tq::Importance& importance,
                             size_t rotation, const Choice& choice, float* gradient) {
    float error[tq::kRotation];
    for (size_t i = 0; i < tq::kRotation; ++i) {
      const size_t at = rotation * tq::kRotation + i;
      error[i] = valueAt(choice, at) - values[at];
    }
    importance.apply(error, gradient);
    return tq::dot32(error, gradient);
  }

  static float solveScale(const float* values, const tq::Importance* importances,
                          const Choice& choice) {
    float product = 0;
    float square = 0;
    for (size_t r = 0; r < kRotations; ++r) {
      float levels[tq::kRotation], weighted[tq::kRotation];
      for (size_t i = 0; i < tq::kRotation; ++i) {
        const size_t at = r * tq::kRotation + i;
        levels[i] = Layout::level(choice.bits[at / kGroup], choice.codes[at]);
      }
      importances[r].apply(levels, weighted);
      product += tq::dot32(values + r * tq::kRotation, weighted);
      square += tq::dot32(levels, weighted);
    }
    const float scale = square > 0 ? roundToHalf(product / square / kUnit) : 0;
    return scale > 0 ? scale : choice.scale;
  }

  static Choice chooseWeighted(const float* values, const tq::Importance* importances,
                               Choice choice) {
    Choice best = choice;
    float bestError = -1;
    for (int round = 0; round < kRounds; ++round) {
      float before = 0;
      float after = 0;
      for (size_t r = 0; r < kRotations; ++r) {
        float gradient[tq::kRotation];
        before += weightedError(values, importances[r], r, choice, gradient);
        for (int pass = 0; pass < kPasses; ++pass) {
          if (!descend(importances[r], r, choice, gradient)) break;
        }
        after += weightedError(values, importances[r], r, choice, gradient);
      }
      if (bestError < 0) bestError = before;
      if (after < bestError) {
        bestError = after;
        best = choice;
      }
      const float scale = solveScale(values, importances, choice);
      if (scale == choice.scale) break;
      choice.scale = scale;
    }
    return best;
  }

  // `values` are rotated, `weights` belong to the columns before rotation (null: all equal).
  static Choice choose(const float* values, const float* weights) {
    const Choice plain = choosePlain(values);
    const float largest = weights == nullptr ? 0 : tq::largestImportance(weights, kCount);
    if (!(largest > 0)) return plain;
    tq::Importance importances[kRotations];
    for (size_t r = 0; r < kRotations; ++r) importances[r].set(weights + r * tq::kRotation, largest);
    return chooseWeighted(values, importances, plain);
  }

 private:
  // Trial scales in units of the root mean square.
  static constexpr float kStarts[] = {0.80f, 0.95f, 1.10f, 1.25f, 1.40f, 1.60f, 1.90f};
  static constexpr int kRefinements = 6;
  static constexpr int kRounds = 4;
  static constexpr int kPasses = 3;
};

}  // namespace bitloom::tq_1b

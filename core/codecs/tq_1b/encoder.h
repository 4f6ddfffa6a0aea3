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
  static constexpr size_t kColumns = kGroups < kLanes ? kLanes : kGroups;  // with idle lanes
  static constexpr size_t kRotations = kCount / tq::kRotation;

  // |value|, members × groups; idle lanes are zero.
  struct Transposed {
    alignas(64) float sizes[kGroup][kColumns] = {};
  };

  struct Fit {
    float gain = 0;   // energy that `scale` explains
    float scale = 0;  // per table entry · 64
  };

  // One table and sixteen groups: Σ a·level and Σ level² of each.
  struct Sums {
    Lanes products;
    Lanes squares;
    Lanes score() const { return products + products - squares; }
  };

  template <size_t kBit>
  static Sums tableSums(const Transposed& block, size_t base, float inverse) {
    Sums sums = {Lanes::all(0), Lanes::all(0)};
    for (size_t member = 0; member < kGroup; ++member) {
      const Lanes sizes = Lanes::load(&block.sizes[member][base]) * inverse;
      const Lanes levels = Layout::kLadders[kBit].nearest(sizes);
      sums.products = sums.products + sizes * levels;
      sums.squares = sums.squares + levels * levels;
    }
    return sums;
  }

  static Lanes withoutIdle(const Lanes& lanes) {
    if (kGroups >= kLanes) return lanes;
    float values[kLanes] = {};
    std::memcpy(values, &lanes, kGroups * sizeof(float));
    return Lanes::load(values);
  }

  // Bits and codes for `scale`, and the least-squares scale for those.
  static Fit fitScale(const Transposed& block, float scale) {
    const float unit = scale * kUnit;
    const float inverse = inverseOf(unit);
    Lanes products = Lanes::all(0);
    Lanes squares = Lanes::all(0);
    for (size_t base = 0; base < kGroups; base += kLanes) {
      const Sums zero = tableSums<0>(block, base, inverse);
      const Sums one = tableSums<1>(block, base, inverse);
      const IntLanes second = one.score() > zero.score();
      products = products + select(second, one.products, zero.products);
      squares = squares + select(second, one.squares, zero.squares);
    }
    const float product = sumLanes(products);  // of values in units of scale/64
    const float fitted = product / sumLanes(withoutIdle(squares));
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
    Lanes squares = Lanes::all(0);
    for (size_t member = 0; member < kGroup; ++member) {
      for (size_t base = 0; base < kGroups; base += kLanes) {
        const Lanes sizes = Lanes::load(&block.sizes[member][base]);
        squares = squares + sizes * sizes;
      }
    }
    const float rms = std::sqrt(sumLanes(squares) * (1.0f / float(kCount)));
    if (inverseOf(rms) == 0) return 0;
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
    for (size_t base = 0; base < kGroups; base += kLanes) {
      const IntLanes second =
          tableSums<1>(block, base, inverse).score() > tableSums<0>(block, base, inverse).score();
      for (size_t lane = 0; lane < kLanes && base + lane < kGroups; ++lane) {
        choice.bits[base + lane] = second[lane] != 0;
      }
      for (size_t member = 0; member < kGroup; ++member) {
        const Lanes sizes = Lanes::load(&block.sizes[member][base]) * inverse;
        const IntLanes indices[2] = {Layout::kLadders[0].indices(sizes),
                                     Layout::kLadders[1].indices(sizes)};
        for (size_t lane = 0; lane < kLanes && base + lane < kGroups; ++lane) {
          const size_t at = (base + lane) * kGroup + member;
          const int32_t index = indices[choice.bits[base + lane]][lane];
          choice.codes[at] = Layout::signedCode(values[at] < 0, size_t(index));
        }
      }
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

  // What a group would change to with a given table.
  struct Move {
    float gain = 0;  // change of the weighted error; negative is better
    uint8_t codes[kGroup] = {};
    float changes[kGroup] = {};
  };

  // Coordinate descent inside one rotation block.
  struct Descent {
    const tq::Importance& importance;
    Choice& choice;
    size_t rotation;
    float unit;     // of a table entry
    float inverse;  // 1/unit
    float reach;    // 1/curvature: a slope times this is the way to the minimum
    float gradient[tq::kRotation] = {};  // G·error, kept up to date

    Descent(const tq::Importance& importance_, Choice& choice_, size_t rotation_)
        : importance(importance_),
          choice(choice_),
          rotation(rotation_),
          unit(choice.scale * kUnit),
          inverse(inverseOf(unit)),
          reach(inverseOf(importance.diagonal())) {}

    // `at`: first member of the group, inside the rotation block.
    Move tryTable(size_t at, size_t bit) const {
      const size_t first = rotation * tq::kRotation + at;
      const size_t current = choice.bits[first / kGroup];
      Move move;
      for (size_t i = 0; i < kGroup; ++i) {
        float slope = gradient[at + i];
        for (size_t j = 0; j < i; ++j) slope += move.changes[j] * importance.at(at + i, at + j);
        const float value = Layout::level(current, choice.codes[first + i]) * unit;
        const uint8_t code = Layout::nearestCode(bit, (value - slope * reach) * inverse);
        const float change = Layout::level(bit, code) * unit - value;
        move.codes[i] = code;
        move.changes[i] = change;
        move.gain += change * (2 * slope + change * importance.diagonal());
      }
      return move;
    }

    // One pass over the groups; true if anything moved.
    bool pass(bool bothTables) {
      bool moved = false;
      for (size_t at = 0; at < tq::kRotation; at += kGroup) {
        const size_t first = rotation * tq::kRotation + at;
        size_t bit = choice.bits[first / kGroup];
        Move move = tryTable(at, bit);
        if (bothTables) {
          const Move other = tryTable(at, 1 - bit);
          if (other.gain < move.gain) {
            move = other;
            bit = 1 - bit;
          }
        }
        if (!(move.gain < 0)) continue;
        choice.bits[first / kGroup] = uint8_t(bit);
        for (size_t i = 0; i < kGroup; ++i) {
          choice.codes[first + i] = move.codes[i];
          if (move.changes[i] != 0) importance.addRow(at + i, move.changes[i], gradient);
        }
        moved = true;
      }
      return moved;
    }
  };

  static float weightedError(const float* values, const tq::Importance& importance, size_t rotation,
                             const Choice& choice, float* gradient) {
    const float unit = choice.scale * kUnit;
    float error[tq::kRotation];
    for (size_t i = 0; i < tq::kRotation; ++i) {
      const size_t at = rotation * tq::kRotation + i;
      error[i] = Layout::level(choice.bits[at / kGroup], choice.codes[at]) * unit - values[at];
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
        Descent descent(importances[r], choice, r);
        before += weightedError(values, importances[r], r, choice, descent.gradient);
        for (int pass = 0; pass < kPasses && descent.pass(pass == 0); ++pass) continue;
        after += weightedError(values, importances[r], r, choice, descent.gradient);
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
    for (size_t r = 0; r < kRotations; ++r)
      importances[r].set(weights + r * tq::kRotation, largest);
    return chooseWeighted(values, importances, plain);
  }

 private:
  // Trial scales in units of the root mean square.
  static constexpr float kStarts[] = {0.80f, 0.95f, 1.10f, 1.25f, 1.40f, 1.60f, 1.90f};
  static constexpr int kRefinements = 6;
  static constexpr int kRounds = 3;
  static constexpr int kPasses = 2;
};

}  // namespace bitloom::tq_1b

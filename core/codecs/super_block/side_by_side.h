// SPDX-License-Identifier: GPL-3.0-or-later
// The search of scaled.h for levels that are chosen weight by weight: all parts of a block at once,
// side by side in the lanes.
#pragma once
#include <array>

#include "core/codecs/super_block/levels.h"
#include "core/codecs/super_block/scales.h"
#include "core/codecs/super_block/spread.h"

namespace bitloom::super_block {

template <typename Format>
struct SideBySide {
  static constexpr size_t kParts = Format::kWeights / Format::kPart;
  static constexpr bool kSigned = Format::kSigned;
  using Laid = Spread<Format::kWeights, Format::kPart>;
  using Steps = typename Format::Steps;
  using Levels = typename Format::Levels;
  using Choice = ScaledChoice<Format::kWeights, Format::kPart>;

  struct Fit {
    Lanes product;  // Σ weights · values · levels of each part
    Lanes square;   // Σ weights · levels²
  };

  Laid values;
  Laid weights;
  Lanes scales;  // each part's own

  SideBySide(const float* row, const float* importances)
      : values(Laid::of(row)), weights(Laid::of(importances)) {
    findScales();
  }

  static Lanes levelsOf(const Lanes& scaled, const Lanes& importances) {
    return Levels::nearest(Numbers<kLanes>{{scaled}}, Numbers<kLanes>{{importances}}).group[0];
  }

  Fit fitted(const Lanes& inverse) const {
    Lanes product = Lanes::all(0), square = Lanes::all(0);
    for (size_t k = 0; k < Laid::kDepth; ++k) {
      const Lanes levels = levelsOf(values.row[k] * inverse, weights.row[k]);
      const Lanes weighted = weights.row[k] * levels;
      product = product + weighted * values.row[k];
      square = square + weighted * levels;
    }
    return {Laid::sums(product), Laid::sums(square)};
  }

  // The first weight of largest magnitude.
  Lanes peaks() const {
    const auto further = [](const Lanes& a, const Lanes& b) {
      return select(absolute(b) > absolute(a), b, a);
    };
    Lanes peak = values.row[0];
    for (size_t k = 1; k < Laid::kDepth; ++k) peak = further(peak, values.row[k]);
    return Laid::folded(peak, [&](const Lanes& a, const Lanes& b) {
      const Lanes equal = larger(a, b);  // of equal magnitudes, so that all lanes agree
      return select(absolute(b) > absolute(a), b, select(absolute(a) > absolute(b), a, equal));
    });
  }

  // The scale that suits a part best, when it may be any number. The peak lands on −kPeak in the
  // first trial: exact for one weight.
  void findScales() {
    scales = Lanes::all(0);
    Lanes gains = Lanes::all(0);
    const auto attempt = [&](const Lanes& inverse) {
      const Fit fit = fitted(inverse);
      const Lanes scale = fit.product / fit.square;
      const Lanes gain = scale * fit.product;
      const Lanes sign = kSigned ? Lanes::all(1) : fit.product;
      const IntLanes better =
          (gain > gains * kClearly) & (fit.square > Lanes::all(0)) & (sign > Lanes::all(0));
      scales = select(better, scale, scales);
      gains = select(better, gain, gains);
    };
    const Lanes whole = inverseOf(peaks() * (kSigned ? -1 / Levels::kPeak : 1 / Levels::kPeak));
    attempt(kSigned ? whole : absolute(whole));
    constexpr Trials kTrials = Format::kTrials;
    for (int trial = 0; trial < kTrials.count; ++trial) {
      const float way = kTrials.count > 1 ? float(trial) / float(kTrials.count - 1) : 0.0f;
      const float share = kTrials.first + (kTrials.last - kTrials.first) * way;
      attempt((kSigned ? whole : absolute(whole)) * share);
      if (kSigned && kTrials.bothSigns) attempt(whole * -share);
    }
    for (int round = 0; round < 2; ++round) attempt(inverseOf(scales));
  }

  float largest() const {
    float found = 0;
    for (size_t p = 0; p < kParts; ++p) {
      const float scale = scales[p];
      found = std::fabs(scale) > std::fabs(found) ? scale : found;
    }
    return found;
  }

  static Lanes multipliers(const std::array<int, kParts>& steps) {
    float lanes[kLanes];
    for (size_t i = 0; i < kLanes; ++i) lanes[i] = Steps::multiplier(steps[i % kParts]);
    return Lanes::load(lanes);
  }

  // Steps for `choice.scale`, at most `reach` from the parts' own scales; the error. Levels follow
  // from them.
  float assign(Choice& choice, int reach) const {
    const float inverse = inverseOf(choice.scale);
    std::array<int, kParts> middle;
    for (size_t p = 0; p < kParts; ++p) middle[p] = Steps::stepOf(scales[p] * inverse);
    Lanes least = Lanes::all(-1);
    for (int change = -reach; change <= reach; ++change) {
      std::array<int, kParts> steps;
      for (size_t p = 0; p < kParts; ++p) {
        steps[p] = std::clamp(middle[p] + change, Steps::kLowStep, Steps::kHighStep);
      }
      const Lanes scale = multipliers(steps) * choice.scale;
      const Lanes inverses = inverseOf(scale);
      Lanes errors = Lanes::all(0);
      for (size_t k = 0; k < Laid::kDepth; ++k) {
        const Lanes levels = levelsOf(values.row[k] * inverses, weights.row[k]);
        const Lanes rest = values.row[k] - levels * scale;
        errors = errors + rest * rest * weights.row[k];
      }
      errors = Laid::sums(errors);
      for (size_t p = 0; p < kParts; ++p) {
        if (change > -reach && !(errors[p] < least[p])) continue;
        choice.steps[p] = steps[p];
      }
      least = change > -reach ? smaller(errors, least) : errors;
    }
    return Laid::total(least);
  }

  void setLevels(Choice& choice) const {
    const Lanes inverse = inverseOf(multipliers(choice.steps) * choice.scale);
    Laid levels;
    for (size_t k = 0; k < Laid::kDepth; ++k) {
      levels.row[k] = levelsOf(values.row[k] * inverse, weights.row[k]);
    }
    levels.store(choice.levels.data());
  }

  // d for the steps and levels of a choice; each part's own scale for its levels.
  float refit(const Choice& choice) {
    const Lanes factors = multipliers(choice.steps);
    const Fit fit = fitted(inverseOf(factors * choice.scale));
    const float product = Laid::total(factors * fit.product);
    const float square = Laid::total(factors * factors * fit.square);
    scales = select(fit.square > Lanes::all(0), fit.product / fit.square, scales);
    return square > 0 ? product / square : 0.0f;
  }
};

}  // namespace bitloom::super_block

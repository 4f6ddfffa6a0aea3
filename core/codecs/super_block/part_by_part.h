// SPDX-License-Identifier: GPL-3.0-or-later
// The search of scaled.h one part after the other: for levels that depend on each other.
#pragma once
#include <array>

#include "core/codecs/super_block/scales.h"

namespace bitloom::super_block {

template <typename Format>
struct PartByPart {
  static constexpr size_t kParts = Format::kWeights / Format::kPart;
  static constexpr size_t kPart = Format::kPart;
  static constexpr bool kSigned = Format::kSigned;
  using Steps = typename Format::Steps;
  using Levels = typename Format::Levels;
  using Choice = ScaledChoice<Format::kWeights, kPart>;
  using Part = Numbers<kPart>;

  struct Fit {
    float product = 0;  // Σ weights · values · levels
    float square = 0;   // Σ weights · levels²
    float scale() const { return square > 0 ? product / square : 0.0f; }
    float gain() const { return square > 0 ? product / square * product : 0.0f; }
  };

  static Fit fitOf(const Part& values, const Part& weights, const Part& levels) {
    const Part weighted = weights * levels;
    return {(weighted * values).sum(), (weighted * levels).sum()};
  }

  // The scale that suits a part best, when it may be any number.
  static float ownScale(const Part& values, const Part& weights) {
    const float peak = values.peak();  // lands on −kPeak in the first trial: exact for one weight
    if (peak == 0) return 0;
    Fit best;
    const auto attempt = [&](float inverse) {
      const Fit fit = fitOf(values, weights, Levels::nearest(values * inverse, weights));
      if (fit.gain() > best.gain() * kClearly && (kSigned || fit.product > 0)) best = fit;
    };
    const float whole = inverseOf(peak / (kSigned ? -Levels::kPeak : Levels::kPeak));
    attempt(kSigned ? whole : std::fabs(whole));
    constexpr Trials kTrials = Format::kTrials;
    for (int trial = 0; trial < kTrials.count; ++trial) {
      const float way = kTrials.count > 1 ? float(trial) / float(kTrials.count - 1) : 0.0f;
      const float share = kTrials.first + (kTrials.last - kTrials.first) * way;
      attempt(std::fabs(whole) * share);
      if (kSigned) attempt(-std::fabs(whole) * share);
    }
    for (int round = 0; round < 2; ++round) attempt(inverseOf(best.scale()));
    return best.scale();
  }

  const float* values;
  const float* weights;
  std::array<float, kParts> scales;  // each part's own

  Part valuesOf(size_t part) const { return Part::load(values + part * kPart); }
  Part weightsOf(size_t part) const { return Part::load(weights + part * kPart); }

  PartByPart(const float* row, const float* importances) : values(row), weights(importances) {
    for (size_t p = 0; p < kParts; ++p) scales[p] = ownScale(valuesOf(p), weightsOf(p));
  }

  float largest() const {
    float found = 0;
    for (const float scale : scales) found = std::fabs(scale) > std::fabs(found) ? scale : found;
    return found;
  }

  // Steps, at most `reach` from the parts' own scales, and levels for `choice.scale`; the error.
  float assign(Choice& choice, int reach) const {
    const float inverse = inverseOf(choice.scale);
    float total = 0;
    for (size_t p = 0; p < kParts; ++p) {
      const int middle = Steps::stepOf(scales[p] * inverse);
      float least = -1;
      const Part part = valuesOf(p);
      const Part importances = weightsOf(p);
      for (int step = std::max(middle - reach, Steps::kLowStep);
           step <= std::min(middle + reach, Steps::kHighStep); ++step) {
        const float scale = choice.scale * Steps::multiplier(step);
        const Part levels = Levels::nearest(part * inverseOf(scale), importances);
        const float error = squaredError(part, importances, levels * scale);
        if (least >= 0 && !(error < least)) continue;
        least = error;
        choice.steps[p] = step;
        levels.store(&choice.levels[p * kPart]);
      }
      total += least;
    }
    return total;
  }

  void setLevels(Choice&) const {}  // `assign` did

  // d for the steps and levels of a choice; each part's own scale for its levels.
  float refit(const Choice& choice) {
    float product = 0;
    float square = 0;
    for (size_t p = 0; p < kParts; ++p) {
      const Fit fit = fitOf(valuesOf(p), weightsOf(p), Part::load(&choice.levels[p * kPart]));
      const float factor = Steps::multiplier(choice.steps[p]);
      product += factor * fit.product;
      square += factor * factor * fit.square;
      if (fit.square > 0) scales[p] = fit.scale();
    }
    return square > 0 ? product / square : 0.0f;
  }
};

}  // namespace bitloom::super_block

// SPDX-License-Identifier: GPL-3.0-or-later
// Means with honest errors. Windows (sequences) are the independent samples, not tokens; the
// interval is Student's t over window means.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitloom {

struct Estimate {
  double mean = 0;
  double error = 0;  // standard error of the mean; NaN for fewer than two samples
  size_t samples = 0;
};

Estimate estimate(std::span<const double> samples);
double studentT95(size_t degreesOfFreedom);  // two-sided 95 % quantile
double interval95(const Estimate& value);    // half width, Student's t

struct Interval {
  double low = 0;
  double high = 0;
};
// 95 % interval of the mean of independent samples, Student's t; NaN for fewer than two.
Interval meanInterval95(std::span<const double> samples);
// The same for samples that are never negative, as divergences are: cut off at zero.
Interval divergenceInterval95(std::span<const double> samples);

// Mean of a/b over paired samples as a ratio of means, with a 95 % interval by the delta method on
// paired windows and Student's t.
struct Ratio {
  double value = 0;
  double low = 0;
  double high = 0;
};
Ratio pairedRatio(std::span<const double> numerator, std::span<const double> denominator);

// Spearman's rank correlation of paired values, equal values sharing their mean rank; −1 … 1, NaN
// for fewer than two pairs or when one side is constant.
double rankCorrelation(std::span<const double> left, std::span<const double> right);

// Linear interpolation between order statistics; `fraction` in [0, 1]. Reorders its argument.
double percentile(std::vector<double>& values, double fraction);

// KL(p‖q) in nats of softmax(reference) against softmax(other), in f64, exact for small
// differences: Σ p·(expm1 δ − δ) with δ = log q − log p.
double klDivergence(std::span<const float> reference, std::span<const float> other);
// −log softmax(logits)[token], in f64.
double negativeLogLikelihood(std::span<const float> logits, size_t token);

// The same for whole vocabularies by the million: what is kept of a row so that it is summed once,
// and a divergence from two such rows. Exponentials are f32 (relative error below 2e-7), sums f64;
// agrees with `klDivergence` above to 1e-5 of its value. Logits are finite.
struct LogitRow {
  std::span<const float> logits;
  float largest = 0;
  double logSum = 0;  // log Σ exp(logit); NaN when any logit is
  uint32_t top = 0;   // index of the largest logit, the lowest one of equals
};
LogitRow logitRow(std::span<const float> logits);
double klDivergence(const LogitRow& reference, const LogitRow& other);

}  // namespace bitloom

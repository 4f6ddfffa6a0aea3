// SPDX-License-Identifier: GPL-3.0-or-later
// Means with honest errors. Windows (sequences) are the independent samples, not tokens; the
// interval is Student's t over window means.
#pragma once
#include <cstddef>
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
double interval95(const Estimate& value);    // half width

// Mean of a/b over paired samples as a ratio of means, with a 95 % interval by the delta method on
// paired windows and Student's t.
struct Ratio {
  double value = 0;
  double low = 0;
  double high = 0;
};
Ratio pairedRatio(std::span<const double> numerator, std::span<const double> denominator);

// Linear interpolation between order statistics; `fraction` in [0, 1]. Reorders its argument.
double percentile(std::vector<double>& values, double fraction);

// KL(p‖q) in nats of softmax(reference) against softmax(other), in f64, exact for small
// differences: Σ p·(expm1 δ − δ) with δ = log q − log p.
double klDivergence(std::span<const float> reference, std::span<const float> other);
// −log softmax(logits)[token], in f64.
double negativeLogLikelihood(std::span<const float> logits, size_t token);

}  // namespace bitloom

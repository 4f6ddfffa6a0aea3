// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "kernels/base/result.h"

namespace bitloom {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double mean(std::span<const double> samples) {
  return std::accumulate(samples.begin(), samples.end(), 0.0) / double(samples.size());
}

// P(|T| < t) for Student's t with an integer number of degrees of freedom, as the finite series in
// θ = atan(t/√ν) (Abramowitz & Stegun 26.7.3 for odd ν, 26.7.4 for even ν).
double studentCentralProbability(double t, size_t degreesOfFreedom) {
  const double theta = std::atan(t / std::sqrt(double(degreesOfFreedom)));
  const double sine = std::sin(theta);
  const double cosine = std::cos(theta);
  const bool odd = degreesOfFreedom % 2 == 1;
  if (degreesOfFreedom == 1) return 2 * theta / std::numbers::pi;
  double term = odd ? cosine : 1;
  double sum = term;
  for (size_t k = odd ? 3 : 2; k + 1 < degreesOfFreedom; k += 2) {
    term *= cosine * cosine * double(k - 1) / double(k);
    sum += term;
  }
  return odd ? 2 / std::numbers::pi * (theta + sine * sum) : sine * sum;
}

// Expansion of the quantile in 1/ν around the normal one (Abramowitz & Stegun 26.7.5); better than
// 1e-9 for the degrees of freedom it is used for.
double studentQuantileAsymptotic(double degreesOfFreedom) {
  constexpr double x = 1.959963984540054;
  constexpr double x2 = x * x;
  const double v = degreesOfFreedom;
  const double g1 = x * (x2 + 1) / 4;
  const double g2 = x * ((5 * x2 + 16) * x2 + 3) / 96;
  const double g3 = x * (((3 * x2 + 19) * x2 + 17) * x2 - 15) / 384;
  return x + g1 / v + g2 / (v * v) + g3 / (v * v * v);
}

}  // namespace

Estimate estimate(std::span<const double> samples) {
  Estimate result;
  result.samples = samples.size();
  if (samples.empty()) return {kNan, kNan, 0};
  result.mean = mean(samples);
  if (samples.size() < 2) {
    result.error = kNan;
    return result;
  }
  double squares = 0;
  for (double sample : samples) squares += (sample - result.mean) * (sample - result.mean);
  const double n = double(samples.size());
  result.error = std::sqrt(squares / (n - 1) / n);
  return result;
}

double studentT95(size_t degreesOfFreedom) {
  if (degreesOfFreedom == 0) return kNan;
  if (degreesOfFreedom > 300) return studentQuantileAsymptotic(double(degreesOfFreedom));
  double low = 1.9;
  double high = 13;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (studentCentralProbability(middle, degreesOfFreedom) < 0.95 ? low : high) = middle;
  }
  return (low + high) / 2;
}

double interval95(const Estimate& value) {
  if (value.samples < 2) return kNan;
  return studentT95(value.samples - 1) * value.error;
}

Interval meanInterval95(std::span<const double> samples) {
  const Estimate value = estimate(samples);
  const double half = interval95(value);
  return {value.mean - half, value.mean + half};
}

// Window means of a divergence are too little skewed for anything but Student's t: over the windows
// of a novel its intervals cover as often as they say (tests/bench/coverage.cpp).
Interval divergenceInterval95(std::span<const double> samples) {
  const Interval interval = meanInterval95(samples);
  return {interval.low < 0 ? 0 : interval.low, interval.high};
}

Ratio pairedRatio(std::span<const double> numerator, std::span<const double> denominator) {
  CHECK(numerator.size() == denominator.size());
  if (numerator.empty()) return {kNan, kNan, kNan};
  const double below = mean(denominator);
  Ratio ratio{mean(numerator) / below, kNan, kNan};
  if (numerator.size() < 2) return ratio;
  // First order: the ratio's error is that of the mean of a − R·b, divided by the mean of b.
  std::vector<double> residuals(numerator.size());
  for (size_t i = 0; i < residuals.size(); ++i) {
    residuals[i] = numerator[i] - ratio.value * denominator[i];
  }
  const double half = interval95(estimate(residuals)) / std::abs(below);
  ratio.low = ratio.value - half;
  ratio.high = ratio.value + half;
  return ratio;
}

namespace {

std::vector<double> ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> result(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t end = first + 1;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (size_t i = first; i < end; ++i) result[order[i]] = double(first + end - 1) / 2;
    first = end;
  }
  return result;
}

}  // namespace

double rankCorrelation(std::span<const double> left, std::span<const double> right) {
  CHECK(left.size() == right.size());
  const std::vector<double> x = ranks(left);
  const std::vector<double> y = ranks(right);
  const double mean = (double(x.size()) - 1) / 2;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
    xy += (x[i] - mean) * (y[i] - mean);
  }
  return xy / std::sqrt(xx * yy);  // 0 ÷ 0 where there is nothing to correlate
}

double percentile(std::vector<double>& values, double fraction) {
  if (values.empty()) return kNan;
  const double position = std::clamp(fraction, 0.0, 1.0) * double(values.size() - 1);
  const size_t lower = size_t(position);
  const auto nth = values.begin() + std::ptrdiff_t(lower);
  std::nth_element(values.begin(), nth, values.end());
  if (lower + 1 == values.size()) return *nth;
  const double upper = *std::min_element(nth + 1, values.end());
  return *nth + (position - double(lower)) * (upper - *nth);
}

namespace {

double exactLogSum(std::span<const float> logits) {
  const double largest = double(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (float logit : logits) sum += std::exp(double(logit) - largest);
  return largest + std::log(sum);
}

}  // namespace

double klDivergence(std::span<const float> reference, std::span<const float> other) {
  CHECK(reference.size() == other.size() && !reference.empty());
  const double referenceSum = exactLogSum(reference);
  const double otherSum = exactLogSum(other);
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double logP = double(reference[i]) - referenceSum;
    const double logQ = double(other[i]) - otherSum;
    const double delta = logQ - logP;
    const double p = std::exp(logP);
    // p·e^δ is q, which must not be lost where p alone underflows.
    sum += delta < 1 ? (p > 0 ? p * (std::expm1(delta) - delta) : 0)
                     : std::exp(logQ) - p - (p > 0 ? p * delta : 0);
  }
  return std::max(sum, 0.0);
}

double negativeLogLikelihood(std::span<const float> logits, size_t token) {
  CHECK(token < logits.size());
  return exactLogSum(logits) - double(logits[token]);
}

}  // namespace bitloom

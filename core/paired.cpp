// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/paired.h"

#include <cmath>

#include "kernels/base/result.h"

namespace bitloom {
namespace {

// NaN bounds are apart from nothing.
bool holds(const Interval& interval, double neutral) {
  return !(interval.low > neutral || interval.high < neutral);
}

PairedFigure difference(std::span<const double> first, std::span<const double> second) {
  std::vector<double> differences(first.size());
  for (size_t i = 0; i < differences.size(); ++i) differences[i] = first[i] - second[i];
  PairedFigure figure;
  figure.value = estimate(differences).mean;
  figure.interval = meanInterval95(differences);
  figure.tie = holds(figure.interval, 0);
  return figure;
}

}  // namespace

PairedComparison comparePaired(const Evaluation& first, const Evaluation& second) {
  CHECK(first.windows == second.windows && first.tokens == second.tokens);
  PairedComparison result;
  const PairedFigure nll = difference(first.windowNll, second.windowNll);
  result.perplexityRatio = {
      std::exp(nll.value), {std::exp(nll.interval.low), std::exp(nll.interval.high)}, nll.tie};
  if (!first.hasReference || !second.hasReference) {
    result.kldDifference.tie = result.kldRatio.tie = result.sameTopDifference.tie = true;
    return result;
  }
  result.kldDifference = difference(first.windowKld, second.windowKld);
  const Ratio ratio = pairedRatio(first.windowKld, second.windowKld);
  result.kldRatio = {ratio.value, {ratio.low, ratio.high}, result.kldDifference.tie};
  result.sameTopDifference = difference(first.windowSame, second.windowSame);
  return result;
}

}  // namespace bitloom

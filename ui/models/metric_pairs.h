// SPDX-License-Identifier: GPL-3.0-or-later
// Two metrics' cells beside each other: what both know, and how alike they rank it.
#pragma once
#include <string>
#include <vector>

#include "core/sensitivity.h"

namespace bitloom {

struct MetricPair {
  std::string tensor, codec;
  double x = 0, y = 0;
};

struct MetricPairs {
  std::vector<MetricPair> pairs;  // in the order of the first metric's cells
  double rankCorrelation = 0;     // Spearman's, over all pairs; NaN when there is none
};

MetricPairs pairMetrics(const Sensitivity& x, const Sensitivity& y);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/metric_pairs.h"

#include <map>
#include <utility>

#include "core/statistics.h"

namespace bitloom {

MetricPairs pairMetrics(const Sensitivity& x, const Sensitivity& y) {
  std::map<std::pair<std::string, std::string>, double> known;
  for (const Cell& cell : y.cells) known[{cell.tensor, cell.codec}] = cell.value;
  MetricPairs result;
  std::vector<double> left, right;
  for (const Cell& cell : x.cells) {
    const auto other = known.find({cell.tensor, cell.codec});
    if (other == known.end()) continue;
    result.pairs.push_back({cell.tensor, cell.codec, cell.value, other->second});
    left.push_back(cell.value);
    right.push_back(other->second);
  }
  result.rankCorrelation = rankCorrelation(left, right);
  return result;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// What metrics made of gradients share: one pass forward and back, in which each tensor is open
// from its last use in the graph to its first, and its cells are told when it closes.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "core/gradient_pass.h"
#include "core/metric.h"

namespace bitloom {

// A tensor some of whose cells are wanted, while the pass goes through its ops.
struct OpenTensor {
  size_t tensor = 0;
  DecodedWeights weights;                    // as the reference has them
  std::vector<Encoded> encoded;              // by candidate
  std::vector<std::vector<double>> samples;  // by candidate and sequence; zeros at first
  Matrix gradients;                          // for who wants a sum of them; empty at first
  double trace = 0;
};

struct GradientMetric {
  std::string_view name;
  SampledLoss loss;
  std::function<void(const WeightFactors& factors, OpenTensor& tensor)> add;
  // Fills in value, error and samples.
  std::function<void(const OpenTensor& tensor, size_t candidate, Cell& cell)> finish;
};

Result<void> measureByGradients(const MetricTask& task, const GradientMetric& metric,
                                const CellSink& sink, JobContext& job);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Inner products of weights' gradients with what coding changes in them, one for each sequence:
// a_j = ⟨G_j, Ŵ − W⟩. Gradients come as factors (core/gradient_pass.h) and are multiplied out for
// a few rows at a time, once for all codecs.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "core/gradient_pass.h"
#include "core/metric.h"

namespace bitloom {

// One tensor and its candidates.
struct SketchedTensor {
  std::vector<Encoded> encoded;              // by candidate
  std::vector<std::vector<double>> samples;  // by candidate, then by sequence
};

// Adds a_j of these factors for each candidate. `weights`: the tensor as the reference has it.
// Same sums at any thread count.
void addInnerProducts(const WeightFactors& factors, const DecodedWeights& weights,
                      SketchedTensor& tensor, JobContext& job);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Inner products of weights' gradients with what coding changes in them, one for each sequence:
// a_j = ⟨G_j, Ŵ − W⟩. Gradients come as factors (core/gradient_pass.h) and are multiplied out for
// a few rows at a time, once for all codecs.
#pragma once
#include <vector>

#include "core/gradient_pass.h"

namespace bitloom {

// Adds a_j of these factors to samples[candidate][sequence]. `weights`: the tensor as the reference
// has it; `encoded`: by candidate. Same sums at any thread count.
void addInnerProducts(const WeightFactors& factors, const DecodedWeights& weights,
                      const std::vector<Encoded>& encoded,
                      std::vector<std::vector<double>>& samples, JobContext& job);

// Adds Σ_j |G_j| of these factors to `sum`, shaped as the weight (rows × row length).
void addAbsoluteGradients(const WeightFactors& factors, Matrix& sum, JobContext& job);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Plans that predictions are tried on, so that a correction can be fitted (core/prediction.h):
// random mixes, which say how damage adds up, and solved plans, whose cells were chosen for looking
// small and so come out larger than predicted.
#pragma once
#include <span>
#include <vector>

#include "core/allocator.h"
#include "core/live_loop.h"

namespace bitloom {

// Each tensor draws from three neighbours, by bits, around a rung that the whole mix draws; encoded
// by `method`.
Result<std::vector<Plan>> randomMixes(const Model& model, std::span<const Codec* const> codecs,
                                      std::string_view method, size_t count, uint64_t seed);

// By the knapsack, at sizes evenly spread between the smallest and largest file; `shift` in 0 … 1
// moves them by that part of a step.
Result<std::vector<Plan>> solvedPlans(const Model& model, const Graph& graph,
                                      const Sensitivity& cells,
                                      std::span<const Codec* const> codecs, size_t count,
                                      double shift, JobContext& job);

// The plan's prediction by the cells, uncorrected, and its measured divergence. `calibration`: of
// the plan's methods; may be null.
Result<PredictedPlan> tryPlan(const Variant& reference, const Predictor& predictor,
                              const Plan& plan, const Calibration* calibration, LiveLoop& probe,
                              JobContext& job);

}  // namespace bitloom

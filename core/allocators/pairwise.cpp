// SPDX-License-Identifier: GPL-3.0-or-later
// The quadratic program min Σ d_i(o_i) + Σ_{i<k} M_ik(o_i, o_k) under the budget, with pair terms
// from the samples of a quadratic metric. M is not convex, so that no relaxation of it would be
// safe: a local search from the knapsack's answer.
#include "core/allocators/pairs/pair_terms.h"

namespace bitloom {
namespace {

Result<Allocation> solveAllPairs(const AllocationTask& task, JobContext& job) {
  TRY(const PairTerms pairs, PairTerms::create(
                                 task.items, [](size_t, size_t) { return true; }, job));
  return solvePairs(task.items, task.budget, pairs, job);
}

}  // namespace

extern const Allocator allocator_pairwise;
const Allocator allocator_pairwise{
    "pairwise",
    "Counts what two tensors do together, for all pairs whose joint effect stands out of the "
    "noise; needs a metric with samples, such as fisher_sketch.",
    solveAllPairs};

}  // namespace bitloom

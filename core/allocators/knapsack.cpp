// SPDX-License-Identifier: GPL-3.0-or-later
// Multiple-choice knapsack by Lagrangian relaxation: for a price λ per byte each item takes the
// option of least damage + λ·bytes. As λ falls, items climb the lower convex hulls of their
// options, so the whole path is all hull steps sorted by damage saved per byte; it is followed
// until a step does not fit. What is left of the budget, less than one step, goes to the best set
// of upgrades that fits, by a small table (rounded up to 1/4096 of the longest step).
// Milliseconds, for use while dragging. Source: Sinha & Zoltners 1979, "The multiple-choice
// knapsack problem".
#include "core/allocators/knapsack/relaxation.h"

namespace bitloom {
namespace {

Result<Allocation> solveTask(const AllocationTask& task, JobContext& job) {
  return solveRelaxed(task.items, task.budget, job);
}

}  // namespace

extern const Allocator allocator_knapsack;
const Allocator allocator_knapsack{
    "knapsack", "The most damage saved per byte first; instant, and optimal up to the last step.",
    solveTask};

}  // namespace bitloom

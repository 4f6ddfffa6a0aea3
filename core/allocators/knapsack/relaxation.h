// SPDX-License-Identifier: GPL-3.0-or-later
// Lagrangian relaxation of the multiple-choice knapsack and its completion; other allocators start
// here. See knapsack.cpp for the idea.
#pragma once
#include <span>
#include <vector>

#include "core/allocator.h"

namespace bitloom {

// Indices of an item's options on the lower convex hull of (bytes, damage): bytes rise, damage
// falls, and each step buys less per byte than the one before. The first is the smallest option.
std::vector<size_t> lowerHull(std::span<const AllocationOption> options);

// One step along an item's hull from `option`, which need not be on it: to the next larger or the
// next smaller of its points; the option itself where the hull ends.
size_t hullNeighbour(const AllocationItem& item, std::span<const size_t> hull, size_t option,
                     bool larger);

// For allocators that search by measuring: a refusal in the name of `allocator` without a text to
// measure on, and one measurement with its step of progress.
Result<void> wantsMeasuring(const AllocationTask& task, std::string_view allocator);
Result<double> measureChoice(const AllocationTask& task, const std::vector<size_t>& options,
                             JobContext& job);

// Damage falls, or stays, when the budget grows; equal to the optimum at budgets that the
// relaxation hits exactly.
Result<Allocation> solveRelaxed(std::span<const AllocationItem> items, uint64_t budget,
                                JobContext& job);

// Fills in bytes and damage of a choice of options.
void sumUp(std::span<const AllocationItem> items, Allocation& allocation);

// Minimises damage over options that cost at least as much as `base`, within `room` bytes above
// it. Extra bytes are rounded up to `quantum`; it is exact when quantum divides them all.
// Memory: items × room / quantum bytes.
Result<void> improveByTable(std::span<const AllocationItem> items, uint64_t room, uint64_t quantum,
                            std::vector<size_t>& base, JobContext& job);

}  // namespace bitloom

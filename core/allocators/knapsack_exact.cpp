// SPDX-License-Identifier: GPL-3.0-or-later
// Multiple-choice knapsack by dynamic programming over bytes: best[c] is the least damage of the
// items so far within c quanta above the smallest choice. The quantum is the greatest common
// divisor of all differences in size, and then the answer is optimal; where that would need a table
// of more than 65 536 columns or 256 MiB, it is a multiple of it, sizes are rounded up, and the
// relaxation's answer is kept if it is better. The quantum depends on the items alone, so that a
// larger budget never gives more damage.
#include <algorithm>
#include <numeric>

#include "core/allocators/knapsack/relaxation.h"

namespace bitloom {
namespace {

constexpr uint64_t kMaxCells = 65536;
constexpr uint64_t kMaxTableBytes = 256u << 20;

uint64_t quantumOf(std::span<const AllocationItem> items, const std::vector<size_t>& smallest) {
  uint64_t divisor = 0;
  uint64_t range = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const uint64_t base = items[i].options[smallest[i]].bytes;
    uint64_t largest = 0;
    for (const AllocationOption& option : items[i].options) {
      divisor = std::gcd(divisor, option.bytes - base);
      largest = std::max(largest, option.bytes - base);
    }
    range += largest;
  }
  if (divisor == 0) return 1;
  const uint64_t cells = std::min(kMaxCells, kMaxTableBytes / items.size());
  const uint64_t multiple = (range / divisor + cells - 1) / cells;
  return divisor * std::max<uint64_t>(1, multiple);
}

Result<Allocation> solveExactly(const AllocationTask& task, JobContext& job) {
  const std::span<const AllocationItem> items = task.items;
  const uint64_t budget = task.budget;
  TRY(Allocation relaxed, solveRelaxed(items, budget, job));
  if (items.empty()) return relaxed;
  Allocation exact;
  exact.lambda = relaxed.lambda;
  uint64_t floor = 0;
  uint64_t ceiling = 0;
  for (const AllocationItem& item : items) {
    exact.option.push_back(lowerHull(item.options).front());
    floor += item.options[exact.option.back()].bytes;
    ceiling += std::max_element(item.options.begin(), item.options.end(),
                                [](const AllocationOption& a, const AllocationOption& b) {
                                  return a.bytes < b.bytes;
                                })
                   ->bytes;
  }
  const uint64_t quantum = quantumOf(items, exact.option);
  // Above the ceiling more room buys nothing; each item may lose a quantum to rounding.
  const uint64_t useful = ceiling - floor + quantum * items.size();
  TRY(improveByTable(items, std::min(budget - floor, useful), quantum, exact.option, job));
  sumUp(items, exact);
  return exact.damage <= relaxed.damage ? exact : relaxed;
}

}  // namespace

extern const Allocator allocator_knapsack_exact;
const Allocator allocator_knapsack_exact{
    "knapsack_exact", "Dynamic programming over bytes; the least total damage there is.",
    solveExactly};

}  // namespace bitloom

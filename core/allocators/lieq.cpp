// SPDX-License-Identifier: GPL-3.0-or-later
// LieQ's rule (arXiv 2508.03332): whole blocks at one of two widths, the m most sensitive at the
// higher one. The two are the uniform choices between which the budget lies, as for the blind mix;
// a block's sensitivity is the damage of its tensors at the lower one.
#include <algorithm>
#include <map>

#include "core/allocators/knapsack/relaxation.h"

namespace bitloom {
namespace {

// The option of an item that has this codec, or the largest one below it.
size_t optionAt(const AllocationItem& item, const Codec* codec) {
  size_t best = lowerHull(item.options).front();
  for (size_t o = 0; o < item.options.size(); ++o) {
    const AllocationOption& option = item.options[o];
    if (option.codec == codec) return o;
    const bool fits = option.codec != nullptr && option.codec->bits <= codec->bits;
    if (fits && option.bytes > item.options[best].bytes) best = o;
  }
  return best;
}

std::vector<size_t> uniformAt(std::span<const AllocationItem> items, const Codec* codec) {
  std::vector<size_t> options;
  for (const AllocationItem& item : items) options.push_back(optionAt(item, codec));
  return options;
}

// Uniform choices on the lower hull of (bytes, damage), the smallest first.
std::vector<std::vector<size_t>> uniformHull(std::span<const AllocationItem> items) {
  std::vector<const Codec*> codecs;
  for (const AllocationItem& item : items) {
    for (const AllocationOption& option : item.options) {
      if (option.codec == nullptr) continue;
      if (std::find(codecs.begin(), codecs.end(), option.codec) == codecs.end()) {
        codecs.push_back(option.codec);
      }
    }
  }
  std::vector<AllocationOption> sums;
  std::vector<std::vector<size_t>> choices;
  for (const Codec* codec : codecs) {
    Allocation allocation{.option = uniformAt(items, codec)};
    sumUp(items, allocation);
    sums.push_back({codec, allocation.bytes, allocation.damage, {}});
    choices.push_back(std::move(allocation.option));
  }
  std::vector<std::vector<size_t>> hull;
  for (const size_t at : lowerHull(sums)) hull.push_back(choices[at]);
  return hull;
}

uint64_t bytesOf(std::span<const AllocationItem> items, const std::vector<size_t>& options) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < items.size(); ++i) bytes += items[i].options[options[i]].bytes;
  return bytes;
}

Result<Allocation> solveTopBlocks(const AllocationTask& task, JobContext& job) {
  const std::span<const AllocationItem> items = task.items;
  // Refuses a budget below the floor; stands where no two uniform choices embrace the budget.
  TRY(Allocation allocation, solveRelaxed(items, task.budget, job));
  const std::vector<std::vector<size_t>> hull = uniformHull(items);
  size_t low = 0;
  while (low + 1 < hull.size() && bytesOf(items, hull[low + 1]) <= task.budget) ++low;
  if (hull.empty() || bytesOf(items, hull[low]) > task.budget) return allocation;
  allocation.option = hull[low];
  allocation.lambda = 0;
  if (low + 1 < hull.size()) {
    std::map<int, double> damage;  // by block
    std::map<int, int64_t> more;   // bytes to raise it
    for (size_t i = 0; i < items.size(); ++i) {
      const AllocationOption& from = items[i].options[hull[low][i]];
      damage[items[i].block] += from.damage;
      more[items[i].block] +=
          int64_t(items[i].options[hull[low + 1][i]].bytes) - int64_t(from.bytes);
    }
    std::vector<int> ranked;
    for (const auto& [block, sum] : damage) ranked.push_back(block);
    std::stable_sort(ranked.begin(), ranked.end(),
                     [&](int a, int b) { return damage[a] > damage[b]; });
    int64_t left = int64_t(task.budget) - int64_t(bytesOf(items, hull[low]));
    for (const int block : ranked) {
      if (more[block] > left) continue;
      left -= more[block];
      for (size_t i = 0; i < items.size(); ++i) {
        if (items[i].block == block) allocation.option[i] = hull[low + 1][i];
      }
    }
  }
  sumUp(items, allocation);
  return allocation;
}

}  // namespace

extern const Allocator allocator_lieq;
const Allocator allocator_lieq{
    "lieq",
    "Whole blocks at one of two widths, the most sensitive ones at the higher (LieQ's top-m rule).",
    solveTopBlocks};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The quadratic program of "Layer-Wise High-Impact Parameter Ratio Optimization" (arXiv 2511.17801)
// with codecs in the place of ratios: pair terms inside a block count, those across blocks do not.
// Each block's choices are enumerated, at most five options for a tensor, to the set of those that
// no other beats in both bytes and damage; a dynamic program over bytes then takes one of each
// set. Where a tensor has more options, its hull's five nearest to the knapsack's choice stand.
#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "core/allocators/knapsack/relaxation.h"
#include "core/allocators/pairs/pair_terms.h"

namespace bitloom {
namespace {

constexpr size_t kOptions = 5;
constexpr size_t kBlockItems = 8;  // items that are enumerated together: 5⁸ choices
constexpr uint64_t kMostColumns = 4096;

struct Candidate {
  uint64_t bytes;
  double damage;
  std::vector<size_t> options;  // of the block's items
};

struct Block {
  std::vector<size_t> items;
  std::vector<Candidate> candidates;  // bytes rise, damage falls
};

// Around the option that the knapsack chose, on the hull.
std::vector<size_t> shortList(const AllocationItem& item, size_t chosen) {
  if (item.options.size() <= kOptions) {
    std::vector<size_t> all(item.options.size());
    std::iota(all.begin(), all.end(), size_t{0});
    return all;
  }
  std::vector<size_t> hull = lowerHull(item.options);
  if (std::find(hull.begin(), hull.end(), chosen) == hull.end()) hull.push_back(chosen);
  std::sort(hull.begin(), hull.end(),
            [&](size_t a, size_t b) { return item.options[a].bytes < item.options[b].bytes; });
  const size_t at = size_t(std::find(hull.begin(), hull.end(), chosen) - hull.begin());
  const size_t first = std::min(at > kOptions / 2 ? at - kOptions / 2 : 0,
                                hull.size() - std::min(hull.size(), kOptions));
  hull.resize(std::min(hull.size(), first + kOptions));
  return {hull.begin() + std::ptrdiff_t(first), hull.end()};
}

void keepUnbeaten(std::vector<Candidate>& candidates) {
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return a.bytes != b.bytes ? a.bytes < b.bytes : a.damage < b.damage;
                   });
  std::vector<Candidate> kept;
  for (Candidate& candidate : candidates) {
    if (kept.empty() || candidate.damage < kept.back().damage) {
      kept.push_back(std::move(candidate));
    }
  }
  candidates = std::move(kept);
}

void enumerate(std::span<const AllocationItem> items, const PairTerms& pairs,
               const std::vector<size_t>& chosen, Block& block) {
  std::vector<std::vector<size_t>> lists;
  for (const size_t item : block.items) lists.push_back(shortList(items[item], chosen[item]));
  std::vector<size_t> at(block.items.size());
  while (true) {
    Candidate candidate{0, 0, {}};
    for (size_t n = 0; n < at.size(); ++n) {
      const size_t option = lists[n][at[n]];
      candidate.bytes += items[block.items[n]].options[option].bytes;
      candidate.damage += items[block.items[n]].options[option].damage;
      for (size_t m = 0; m < n; ++m) {
        candidate.damage +=
            pairs.term(block.items[n], option, block.items[m], candidate.options[m]);
      }
      candidate.options.push_back(option);
    }
    block.candidates.push_back(std::move(candidate));
    size_t n = 0;
    while (n < at.size() && ++at[n] == lists[n].size()) at[n++] = 0;
    if (n == at.size()) break;
  }
  keepUnbeaten(block.candidates);
}

std::vector<Block> blocksOf(std::span<const AllocationItem> items) {
  std::vector<Block> blocks;
  std::map<int, size_t> open;  // by number of the block
  for (size_t i = 0; i < items.size(); ++i) {
    const auto known = open.find(items[i].block);
    if (known == open.end() || blocks[known->second].items.size() == kBlockItems) {
      open[items[i].block] = blocks.size();
      blocks.push_back({{i}, {}});
    } else {
      blocks[known->second].items.push_back(i);
    }
  }
  return blocks;
}

// One candidate of each block: least damage within the budget. Sizes are rounded up to a quantum.
Result<std::vector<size_t>> chooseCandidates(const std::vector<Block>& blocks, uint64_t budget,
                                             JobContext& job) {
  uint64_t floor = 0;
  uint64_t divisor = 0;
  for (const Block& block : blocks) {
    floor += block.candidates.front().bytes;
    for (const Candidate& candidate : block.candidates) {
      divisor = std::gcd(divisor, candidate.bytes - block.candidates.front().bytes);
    }
  }
  const uint64_t room = budget - floor;
  uint64_t quantum = std::max<uint64_t>(1, divisor);
  quantum *= std::max<uint64_t>(1, (room / quantum + kMostColumns - 1) / kMostColumns);
  const size_t columns = size_t(room / quantum) + 1;
  const auto widthOf = [&](const Block& block, size_t candidate) {
    const uint64_t more = block.candidates[candidate].bytes - block.candidates.front().bytes;
    return size_t((more + quantum - 1) / quantum);
  };
  std::vector<double> before(columns, 0.0);
  std::vector<std::vector<uint32_t>> taken;
  for (const Block& block : blocks) {
    TRY(job.checkpoint());
    std::vector<double> best(columns, std::numeric_limits<double>::infinity());
    std::vector<uint32_t>& from = taken.emplace_back(columns);
    for (size_t n = 0; n < block.candidates.size(); ++n) {
      for (size_t c = widthOf(block, n); c < columns; ++c) {
        const double damage = before[c - widthOf(block, n)] + block.candidates[n].damage;
        if (damage >= best[c]) continue;
        best[c] = damage;
        from[c] = uint32_t(n);
      }
    }
    before = std::move(best);
  }
  std::vector<size_t> chosen(blocks.size());
  size_t column = columns - 1;
  for (size_t b = blocks.size(); b-- > 0;) {
    chosen[b] = taken[b][column];
    column -= widthOf(blocks[b], chosen[b]);
  }
  return chosen;
}

Result<Allocation> solveBlocks(const AllocationTask& task, JobContext& job) {
  const std::span<const AllocationItem> items = task.items;
  TRY(Allocation allocation, solveRelaxed(items, task.budget, job));
  if (items.empty()) return allocation;
  const auto inBlock = [&](size_t i, size_t k) { return items[i].block == items[k].block; };
  TRY(const PairTerms pairs, PairTerms::create(items, inBlock, job));
  std::vector<Block> blocks = blocksOf(items);
  uint64_t floor = 0;
  for (Block& block : blocks) {
    TRY(job.checkpoint());
    enumerate(items, pairs, allocation.option, block);
    floor += block.candidates.front().bytes;
  }
  if (floor <= task.budget) {
    TRY(const std::vector<size_t> chosen, chooseCandidates(blocks, task.budget, job));
    std::vector<size_t> options(items.size());
    for (size_t b = 0; b < blocks.size(); ++b) {
      for (size_t n = 0; n < blocks[b].items.size(); ++n) {
        options[blocks[b].items[n]] = blocks[b].candidates[chosen[b]].options[n];
      }
    }
    if (pairs.damage(items, options) < pairs.damage(items, allocation.option)) {
      allocation.option = std::move(options);
    }
  }
  sumUp(items, allocation);
  allocation.damage = pairs.damage(items, allocation.option);
  return allocation;
}

}  // namespace

extern const Allocator allocator_high_impact;
const Allocator allocator_high_impact{
    "high_impact",
    "Counts what the tensors of one block do together: all choices inside a block, then the best "
    "of each; needs a metric with samples, such as fisher_sketch.",
    solveBlocks};

}  // namespace bitloom

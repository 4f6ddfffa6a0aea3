// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocators/knapsack/relaxation.h"

#include <algorithm>
#include <limits>

namespace bitloom {
namespace {

constexpr uint64_t kFillCells = 4096;
constexpr size_t kMaxOptions = 255;  // a table's entry is one byte

struct Step {
  double slope;  // damage saved per byte
  uint64_t bytes;
  size_t item;
  size_t option;  // after the step
};

// All hull steps of all items, the best bargain first; steps of one item keep their order because
// slopes fall along a hull.
std::vector<Step> allSteps(std::span<const AllocationItem> items,
                           const std::vector<std::vector<size_t>>& hulls) {
  std::vector<Step> steps;
  for (size_t i = 0; i < items.size(); ++i) {
    for (size_t h = 1; h < hulls[i].size(); ++h) {
      const AllocationOption& from = items[i].options[hulls[i][h - 1]];
      const AllocationOption& to = items[i].options[hulls[i][h]];
      const uint64_t bytes = to.bytes - from.bytes;
      steps.push_back({(from.damage - to.damage) / double(bytes), bytes, i, hulls[i][h]});
    }
  }
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Step& a, const Step& b) { return a.slope > b.slope; });
  return steps;
}

// One row of the table: `best[c]` becomes the least damage within c cells, `taken[c]` the option.
void extendTable(const AllocationItem& item, size_t base, uint64_t quantum,
                 const std::vector<double>& before, std::vector<double>& best, uint8_t* taken) {
  const AllocationOption& from = item.options[base];
  for (size_t c = 0; c < best.size(); ++c) {
    best[c] = before[c] + from.damage;
    taken[c] = uint8_t(base);
  }
  for (size_t o = 0; o < item.options.size(); ++o) {
    const AllocationOption& to = item.options[o];
    if (o == base || to.bytes < from.bytes || to.damage >= from.damage) continue;
    const uint64_t cells = (to.bytes - from.bytes + quantum - 1) / quantum;
    for (size_t c = size_t(cells); c < best.size(); ++c) {
      const double damage = before[c - size_t(cells)] + to.damage;
      if (damage < best[c]) {
        best[c] = damage;
        taken[c] = uint8_t(o);
      }
    }
  }
}

}  // namespace

std::vector<size_t> lowerHull(std::span<const AllocationOption> options) {
  std::vector<size_t> order(options.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return options[a].bytes != options[b].bytes ? options[a].bytes < options[b].bytes
                                                : options[a].damage < options[b].damage;
  });
  const auto slope = [&](size_t a, size_t b) {
    return (options[a].damage - options[b].damage) / double(options[b].bytes - options[a].bytes);
  };
  std::vector<size_t> hull;
  for (const size_t next : order) {
    if (!hull.empty() && options[next].damage >= options[hull.back()].damage) continue;
    if (!hull.empty() && options[next].bytes == options[hull.back()].bytes) continue;
    while (hull.size() > 1 &&
           slope(hull[hull.size() - 2], hull.back()) <= slope(hull.back(), next)) {
      hull.pop_back();
    }
    hull.push_back(next);
  }
  return hull;
}

size_t hullNeighbour(const AllocationItem& item, std::span<const size_t> hull, size_t option,
                     bool larger) {
  const uint64_t bytes = item.options[option].bytes;
  size_t neighbour = option;
  for (const size_t point : hull) {  // by rising bytes
    const uint64_t there = item.options[point].bytes;
    if (larger && there > bytes) return point;
    if (!larger && there < bytes) neighbour = point;
  }
  return neighbour;
}

Result<void> wantsMeasuring(const AllocationTask& task, std::string_view allocator) {
  if (task.measure) return {};
  return makeError(ErrorCode::InvalidArgument, allocator,
                   ": searches by measuring and needs a text to measure on.");
}

Result<double> measureChoice(const AllocationTask& task, const std::vector<size_t>& options,
                             JobContext& job) {
  TRY(job.checkpoint());
  TRY(const double damage, task.measure(options, job));
  job.advance();
  return damage;
}

void sumUp(std::span<const AllocationItem> items, Allocation& allocation) {
  allocation.bytes = 0;
  allocation.damage = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    allocation.bytes += items[i].options[allocation.option[i]].bytes;
    allocation.damage += items[i].options[allocation.option[i]].damage;
  }
}

Result<void> improveByTable(std::span<const AllocationItem> items, uint64_t room, uint64_t quantum,
                            std::vector<size_t>& base, JobContext& job) {
  const size_t cells = size_t(room / quantum) + 1;
  std::vector<uint8_t> taken(items.size() * cells);
  std::vector<double> before(cells, 0.0);
  std::vector<double> best(cells);
  for (size_t i = 0; i < items.size(); ++i) {
    TRY(job.checkpoint());
    CHECK(items[i].options.size() <= kMaxOptions);
    extendTable(items[i], base[i], quantum, before, best, &taken[i * cells]);
    std::swap(before, best);
  }
  size_t cell = cells - 1;
  for (size_t i = items.size(); i-- > 0;) {
    const size_t option = taken[i * cells + cell];
    const uint64_t bytes = items[i].options[option].bytes - items[i].options[base[i]].bytes;
    cell -= size_t((bytes + quantum - 1) / quantum);
    base[i] = option;
  }
  return {};
}

Result<Allocation> solveRelaxed(std::span<const AllocationItem> items, uint64_t budget,
                                JobContext& job) {
  TRY(job.checkpoint());
  Allocation allocation;
  std::vector<std::vector<size_t>> hulls;
  uint64_t used = 0;
  for (const AllocationItem& item : items) {
    CHECK(!item.options.empty());
    hulls.push_back(lowerHull(item.options));
    allocation.option.push_back(hulls.back().front());
    used += item.options[hulls.back().front()].bytes;
  }
  if (used > budget) {
    return makeError(ErrorCode::InvalidArgument, "The smallest choice needs ", grouped(used),
                     " bytes, more than the budget of ", grouped(budget), " bytes.");
  }
  uint64_t longest = 1;
  const std::vector<Step> steps = allSteps(items, hulls);
  for (const Step& step : steps) longest = std::max(longest, step.bytes);
  for (const Step& step : steps) {
    if (step.bytes > budget - used) {
      // What stays free is less than this step. The quantum depends on the items alone, so that a
      // larger budget never gives more damage.
      allocation.lambda = step.slope;
      const uint64_t quantum = (longest + kFillCells - 1) / kFillCells;
      TRY(improveByTable(items, budget - used, quantum, allocation.option, job));
      break;
    }
    used += step.bytes;
    allocation.option[step.item] = step.option;
  }
  sumUp(items, allocation);
  return allocation;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Dynamic programming over (bytes used, option of the item before): least Σ d_i + Σ M_{i−1,i} for
// pair terms of neighbours in the order of the model, as TWLA does for activation bits (arXiv
// 2606.13054, ILA-AMP). Bytes above the smallest choice are counted in quanta: their greatest
// common divisor, or a multiple of it where that would need more than 4096 columns, rounded up.
#include <algorithm>
#include <limits>
#include <numeric>

#include "core/allocators/knapsack/relaxation.h"
#include "core/allocators/pairs/pair_terms.h"

namespace bitloom {
namespace {

constexpr uint64_t kMostColumns = 4096;
constexpr double kNever = std::numeric_limits<double>::infinity();

class Table {
 public:
  Table(std::span<const AllocationItem> items, uint64_t budget, const PairTerms& pairs)
      : m_items(items), m_pairs(pairs) {
    uint64_t divisor = 0;
    uint64_t floor = 0;
    for (const AllocationItem& item : items) {
      uint64_t least = item.options.front().bytes;
      for (const AllocationOption& option : item.options) least = std::min(least, option.bytes);
      for (const AllocationOption& option : item.options) {
        divisor = std::gcd(divisor, option.bytes - least);
      }
      m_least.push_back(least);
      floor += least;
    }
    const uint64_t room = budget - floor;
    m_quantum = std::max<uint64_t>(1, divisor);
    m_quantum *= std::max<uint64_t>(1, (room / m_quantum + kMostColumns - 1) / kMostColumns);
    m_columns = size_t(room / m_quantum) + 1;
  }

  Result<std::vector<size_t>> solve(JobContext& job) {
    std::vector<double> before(m_columns, 0.0);  // one option before the first item
    std::vector<std::vector<uint8_t>> came(m_items.size());
    for (size_t i = 0; i < m_items.size(); ++i) {
      TRY(job.checkpoint());
      before = extend(i, before, came[i]);
    }
    return walk(before, came);
  }

 private:
  size_t columnsOf(size_t i, size_t option) const {
    const uint64_t more = m_items[i].options[option].bytes - m_least[i];
    return size_t((more + m_quantum - 1) / m_quantum);
  }

  // best[o × columns + c]: least damage with item i at option o within c quanta.
  std::vector<double> extend(size_t i, const std::vector<double>& before,
                             std::vector<uint8_t>& came) const {
    const size_t options = m_items[i].options.size();
    const size_t earlier = before.size() / m_columns;
    std::vector<double> best(options * m_columns, kNever);
    came.resize(options * m_columns);
    for (size_t o = 0; o < options; ++o) {
      const size_t shift = columnsOf(i, o);
      for (size_t p = 0; p < earlier; ++p) {
        const double own =
            m_items[i].options[o].damage + (i > 0 ? m_pairs.term(i, o, i - 1, p) : 0);
        for (size_t c = shift; c < m_columns; ++c) {
          const double damage = before[p * m_columns + c - shift] + own;
          if (damage >= best[o * m_columns + c]) continue;
          best[o * m_columns + c] = damage;
          came[o * m_columns + c] = uint8_t(p);
        }
      }
    }
    return best;
  }

  std::vector<size_t> walk(const std::vector<double>& last,
                           const std::vector<std::vector<uint8_t>>& came) const {
    size_t column = m_columns - 1;
    size_t option = 0;
    for (size_t o = 0; o < last.size() / m_columns; ++o) {
      if (last[o * m_columns + column] < last[option * m_columns + column]) option = o;
    }
    std::vector<size_t> options(m_items.size());
    for (size_t i = m_items.size(); i-- > 0;) {
      options[i] = option;
      const size_t at = option * m_columns + column;
      column -= columnsOf(i, option);
      option = came[i][at];
    }
    return options;
  }

  std::span<const AllocationItem> m_items;
  const PairTerms& m_pairs;
  std::vector<uint64_t> m_least;
  uint64_t m_quantum = 1;
  size_t m_columns = 1;
};

Result<Allocation> solveAdjacent(const AllocationTask& task, JobContext& job) {
  TRY(Allocation allocation, solveRelaxed(task.items, task.budget, job));
  if (task.items.empty()) return allocation;
  const auto adjacent = [](size_t i, size_t k) { return k == i + 1; };
  TRY(const PairTerms pairs, PairTerms::create(task.items, adjacent, job));
  const double relaxed = pairs.damage(task.items, allocation.option);
  TRY(std::vector<size_t> options, Table(task.items, task.budget, pairs).solve(job));
  // Rounded sizes may cost more than the table gains.
  if (pairs.damage(task.items, options) < relaxed) allocation.option = std::move(options);
  sumUp(task.items, allocation);
  allocation.damage = pairs.damage(task.items, allocation.option);
  return allocation;
}

}  // namespace

extern const Allocator allocator_adjacent_pairs;
const Allocator allocator_adjacent_pairs{
    "adjacent_pairs",
    "Dynamic programming that counts what each tensor and the next one do together; needs a "
    "metric with samples, such as fisher_sketch.",
    solveAdjacent};

}  // namespace bitloom

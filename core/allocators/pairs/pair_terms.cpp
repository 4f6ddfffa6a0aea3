// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocators/pairs/pair_terms.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/allocators/knapsack/relaxation.h"

namespace bitloom {
namespace {

constexpr double kErrors = 3;  // a term counts from so many standard errors on
constexpr size_t kEnumerated = size_t{1} << 16;
constexpr int kSweeps = 50;

// 2·mean a·b, or 0 where it drowns in its error.
float termOf(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.empty() || a.size() != b.size()) return 0;
  double sum = 0;
  double squares = 0;
  for (size_t j = 0; j < a.size(); ++j) {
    const double product = double(a[j]) * double(b[j]);
    sum += product;
    squares += product * product;
  }
  const double n = double(a.size());
  const double mean = sum / n;
  const double error = std::sqrt(std::max(0.0, squares / n - mean * mean) / (n - 1));
  return std::fabs(mean) > kErrors * error ? float(2 * mean) : 0.0f;
}

// Every choice in turn, the first item's options fastest.
Allocation enumerate(std::span<const AllocationItem> items, uint64_t budget,
                     const PairTerms& pairs) {
  Allocation best;
  double least = std::numeric_limits<double>::infinity();
  std::vector<size_t> options(items.size());
  while (true) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < items.size(); ++i) bytes += items[i].options[options[i]].bytes;
    if (bytes <= budget) {
      const double damage = pairs.damage(items, options);
      if (damage < least) {
        least = damage;
        best.option = options;
      }
    }
    size_t at = 0;
    while (at < items.size() && ++options[at] == items[at].options.size()) options[at++] = 0;
    if (at == items.size()) return best;
  }
}

class LocalSearch {
 public:
  LocalSearch(std::span<const AllocationItem> items, uint64_t budget, const PairTerms& pairs,
              std::vector<size_t> start)
      : m_items(items), m_pairs(pairs), m_options(std::move(start)), m_costs(items.size()) {
    m_left = int64_t(budget);
    for (size_t i = 0; i < items.size(); ++i) {
      m_left -= int64_t(items[i].options[m_options[i]].bytes);
      m_costs[i].resize(items[i].options.size());
    }
    for (size_t i = 0; i < items.size(); ++i) refresh(i);
  }

  Result<std::vector<size_t>> run(JobContext& job) {
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      bool improved = false;
      for (size_t i = 0; i < m_items.size(); ++i) {
        TRY(job.checkpoint());
        while (improve(i)) improved = true;
      }
      if (!improved) break;
    }
    return m_options;
  }

 private:
  // Cost of each option of item i, given the other items' options.
  void refresh(size_t i) {
    for (size_t o = 0; o < m_costs[i].size(); ++o) {
      m_costs[i][o] = m_items[i].options[o].damage;
      for (size_t k = 0; k < m_items.size(); ++k) {
        if (k != i) m_costs[i][o] += m_pairs.term(i, o, k, m_options[k]);
      }
    }
  }

  double change(size_t i, size_t to) const { return m_costs[i][to] - m_costs[i][m_options[i]]; }
  int64_t bytes(size_t i, size_t to) const {
    return int64_t(m_items[i].options[to].bytes) - int64_t(m_items[i].options[m_options[i]].bytes);
  }

  void move(size_t i, size_t to) {
    const size_t from = m_options[i];
    m_left -= bytes(i, to);
    m_options[i] = to;
    for (size_t k = 0; k < m_items.size(); ++k) {
      if (k == i) continue;
      for (size_t o = 0; o < m_costs[k].size(); ++o) {
        m_costs[k][o] += m_pairs.term(k, o, i, to) - m_pairs.term(k, o, i, from);
      }
    }
  }

  // The best move of item i, alone or with one other; false when none lowers the damage.
  bool improve(size_t i) {
    double best = -1e-12 * std::fabs(m_costs[i][m_options[i]]) - 1e-300;
    size_t option = 0, other = m_items.size(), otherOption = 0;
    bool found = false;
    for (size_t o = 0; o < m_costs[i].size(); ++o) {
      if (o == m_options[i]) continue;
      const double own = change(i, o);
      const int64_t more = bytes(i, o);
      if (more <= m_left && own < best) {
        best = own, option = o, other = m_items.size(), found = true;
      }
      for (size_t k = 0; k < m_items.size(); ++k) {
        if (k == i) continue;
        for (size_t p = 0; p < m_costs[k].size(); ++p) {
          if (p == m_options[k] || more + bytes(k, p) > m_left) continue;
          const double both = own + change(k, p) + interaction(i, o, k, p);
          if (both < best) best = both, option = o, other = k, otherOption = p, found = true;
        }
      }
    }
    if (!found) return false;
    move(i, option);
    if (other < m_items.size()) move(other, otherOption);
    return true;
  }

  // What changes twice, or not at all, when both move.
  double interaction(size_t i, size_t o, size_t k, size_t p) const {
    if (m_pairs.isEmpty()) return 0;
    return m_pairs.term(i, o, k, p) - m_pairs.term(i, o, k, m_options[k]) -
           m_pairs.term(i, m_options[i], k, p) + m_pairs.term(i, m_options[i], k, m_options[k]);
  }

  std::span<const AllocationItem> m_items;
  const PairTerms& m_pairs;
  std::vector<size_t> m_options;
  std::vector<std::vector<double>> m_costs;
  int64_t m_left = 0;
};

}  // namespace

Result<PairTerms> PairTerms::create(std::span<const AllocationItem> items,
                                    const std::function<bool(size_t, size_t)>& wanted,
                                    JobContext& job) {
  PairTerms result;
  std::vector<size_t> itemOf;
  for (size_t i = 0; i < items.size(); ++i) {
    result.m_first.push_back(result.m_options);
    result.m_options += items[i].options.size();
    itemOf.insert(itemOf.end(), items[i].options.size(), i);
    for (const AllocationOption& option : items[i].options) {
      result.m_isEmpty = result.m_isEmpty && option.samples.empty();
    }
  }
  result.m_terms.resize(result.m_options * result.m_options);
  if (result.m_isEmpty) return result;
  TRY(job.checkpoint());
  job.parallelFor(result.m_options, 16, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      const size_t i = itemOf[row];
      for (size_t column = 0; column < result.m_options; ++column) {
        const size_t k = itemOf[column];
        if (k == i || !wanted(std::min(i, k), std::max(i, k))) continue;
        result.m_terms[row * result.m_options + column] =
            termOf(items[i].options[row - result.m_first[i]].samples,
                   items[k].options[column - result.m_first[k]].samples);
      }
    }
  });
  return result;
}

double PairTerms::damage(std::span<const AllocationItem> items,
                         const std::vector<size_t>& options) const {
  double sum = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    sum += items[i].options[options[i]].damage;
    for (size_t k = 0; k < i && !m_isEmpty; ++k) sum += term(i, options[i], k, options[k]);
  }
  return sum;
}

Result<Allocation> solvePairs(std::span<const AllocationItem> items, uint64_t budget,
                              const PairTerms& pairs, JobContext& job) {
  TRY(Allocation allocation, solveRelaxed(items, budget, job));
  size_t choices = 1;
  for (const AllocationItem& item : items) {
    choices = std::min(kEnumerated + 1, choices * item.options.size());
  }
  if (choices <= kEnumerated) {
    allocation.option = enumerate(items, budget, pairs).option;
  } else {
    TRY(allocation.option,
        LocalSearch(items, budget, pairs, std::move(allocation.option)).run(job));
  }
  sumUp(items, allocation);
  allocation.damage = pairs.damage(items, allocation.option);
  return allocation;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Damage of options together beyond the sum of their own: 2·mean_j a_j·b_j of their samples. Items
// are estimated from few sequences, so a term counts only where it is three times its standard
// error; the sum of all the noise would be larger than what the terms say (methods of quadratic
// allocation: HAWQ-V3, arXiv 2011.10680; IMPQ, arXiv 2509.15455).
#pragma once
#include <span>
#include <vector>

#include "core/allocator.h"

namespace bitloom {

class PairTerms {
 public:
  // Of all pairs of options of different items for which `wanted(i, k)`; memory is 4 bytes for each
  // pair of options. Without samples every term is 0.
  static Result<PairTerms> create(std::span<const AllocationItem> items,
                                  const std::function<bool(size_t i, size_t k)>& wanted,
                                  JobContext& job);

  double term(size_t item, size_t option, size_t other, size_t otherOption) const {
    const size_t row = m_first[item] + option;
    const size_t column = m_first[other] + otherOption;
    return double(m_terms[row * m_options + column]);
  }
  bool isEmpty() const { return m_isEmpty; }

  // Damage of a whole choice: options' own and all pairs'.
  double damage(std::span<const AllocationItem> items, const std::vector<size_t>& options) const;

 private:
  std::vector<size_t> m_first;  // index of each item's first option
  size_t m_options = 0;
  std::vector<float> m_terms;  // options × options, symmetric
  bool m_isEmpty = true;
};

// The relaxation improved until neither another option of one item nor an exchange between two
// lowers the damage; exact by enumeration where there are at most 2¹⁶ choices.
Result<Allocation> solvePairs(std::span<const AllocationItem> items, uint64_t budget,
                              const PairTerms& pairs, JobContext& job);

}  // namespace bitloom

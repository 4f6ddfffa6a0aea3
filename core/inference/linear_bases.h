// SPDX-License-Identifier: GPL-3.0-or-later
// What the linear ops of a reference read and gave on fixed tokens. A variant's op of the same
// weights takes the reference's output and adds the product of what its input differs in, which is
// small: one bfloat16 part of that is as exact as two parts of the whole, at a third of the price.
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "core/inference/forward.h"

namespace bitloom {

class LinearBases {
 public:
  struct Base {
    const Matrix* input = nullptr;
    const Matrix* output = nullptr;  // bias included; null while it is not known
  };

  // Whether products with differences are cheaper for this variant than whole ones.
  static bool pay(const Variant& reference);

  // For `rows` rows of stream; as many of the last blocks are kept as fit `bytes`. `reference` is
  // borrowed.
  LinearBases(const Variant& reference, size_t rows, uint64_t bytes);

  // An OpTap for the reference's run. The logits nobody reads: they are told, and borrowed.
  void see(const Op& op, const OpInputs& inputs);
  void setLogits(const Matrix& logits);

  // Of the graph's op `index`; null where it is not kept, or `variant` sees other weights.
  const Base* find(size_t index, const Variant& variant) const;
  uint64_t bytes() const;

 private:
  const Matrix* keep(const Matrix& matrix);

  const Variant& m_reference;
  int m_firstBlock;
  std::vector<Base> m_bases;     // by index of the op
  std::vector<size_t> m_writer;  // by point: the op whose output it holds, or none
  std::deque<Matrix> m_kept;
};

}  // namespace bitloom

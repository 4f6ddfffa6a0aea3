// SPDX-License-Identifier: GPL-3.0-or-later
// A few rows on their way to codes: rounding in turn, then descent. The error of a row w that is
// stored as q is (q − w)·H·(q − w)ᵀ, both in the codec's basis.
//
// In turn (GPTQ): a block's parameters are fitted to the weights as they are when its turn comes,
// values that are rounded together pass their error on together, to all columns after them.
// Rounding in turn cannot take back what later columns would rather have; descent can: block by
// block each code goes to where the error, given all others, is least, and each free scale to its
// least-squares value, where that makes the error smaller. So descent never makes it larger.
#pragma once
#include <span>
#include <vector>

#include "core/codec.h"
#include "core/methods/gptq/factor.h"

namespace bitloom::gptq {

class Rounder {
 public:
  // All borrowed. `h` is damped as `upper` was; both n × n.
  Rounder(const Codec& codec, std::span<const float> h, std::span<const float> upper, size_t n);

  // `rows`: whole rows in the basis, end to end.
  void begin(std::span<const float> rows);
  void roundInTurn();
  void descend(int sweeps);
  // Σ over the rows of their errors; in f64.
  double error() const;
  // Row by row, codec.rowBytes(n) each.
  void pack(std::span<std::byte> bytes) const;

 private:
  struct Block {
    size_t at;
    size_t count;  // less than grid.block at the end of a row with a tail
  };
  float* parametersOf(size_t row, const Block& block);
  void fit(const Block& block);
  void roundColumns(size_t column, const Block& block, size_t panel, size_t panelEnd);
  void descendCodes(const Block& block);
  void descendScales(const Block& block);
  void moveGradients(const Block& block);

  const Codec& m_codec;
  const Grid& m_grid;
  std::span<const float> m_h;
  std::span<const float> m_upper;
  size_t m_n;
  size_t m_rows = 0;
  std::vector<float> m_importances;  // of columns, where codes live in the columns' own basis
  std::vector<float> m_targets;      // rows × n, as are the next four
  std::vector<float> m_values;       // targets with the errors that were passed on
  std::vector<float> m_rounded;
  std::vector<float> m_gradients;  // (q − w)·H
  std::vector<uint8_t> m_codes;
  std::vector<float> m_parameters;  // rows × blocks × grid.parameters
  std::vector<float> m_errors;      // rows × panel
  std::vector<float> m_local;       // rows × block: gradients inside a block
  std::vector<float> m_before;      // rows × block
};

}  // namespace bitloom::gptq

// SPDX-License-Identifier: GPL-3.0-or-later
// One linear op: output = input · weightᵀ + bias, in parallel over parts of the output. The parts'
// sizes have no influence on the result (kernels/cpu/kernels.h).
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "core/base/job.h"
#include "core/inference/forward.h"
#include "core/inference/packed_weights.h"

namespace bitloom {

struct LinearTile {
  const float* weights;  // rows × input.cols
  size_t firstRow;       // the tile's columns in the output begin here
  size_t rows;
  const float* bias = nullptr;  // of the whole output, or null
  const float* base = nullptr;  // added to the tile's columns, in rows as far apart as the
                                // output's; on the matrix unit only, or null
};

// One input in the forms that products take. Ops that read the same point (q, k and v; gate and up)
// share them; whoever changes the input calls reset.
class LinearInput {
 public:
  void reset();

  // Each is made on first use and kept. `rotated`: R·row (kernels/cpu/panels.h).
  const float* floats(const Matrix& input, bool rotated, JobContext& job);
  RoundedActivations rounded(const Matrix& input, bool rotated, JobContext& job);
  const uint8_t* strips(const Matrix& input, bool rotated, size_t parts, JobContext& job);

 private:
  struct Form {
    std::vector<float> rotated;
    std::vector<int8_t> codes;
    std::vector<float> scales;
    std::vector<int32_t> sums;
    std::vector<uint8_t> strips;
    size_t parts = 0;  // of the strips; 0: none yet
    bool isRotated = false;
    bool isRounded = false;
  };
  Form m_forms[2];  // as it is, rotated
};

// How products are taken: in f32, or on the matrix unit, where there is one, with operands of one
// bfloat16 part or of two (kernels/cpu/kernels.h).
enum class Products { Exact, OnePart, TwoParts };

// Fills columns [firstRow, firstRow + rows) of `output`; cancel is noticed within some 20 ms.
Result<void> multiply(const Matrix& input, LinearInput& forms, const LinearTile& tile,
                      Products products, Matrix& output, JobContext& job);

// Adds input · weights, input.cols × output.cols, to the output: the way back through a linear op.
Result<void> addTurned(const Matrix& input, const float* weights, Products products, Matrix& output,
                       JobContext& job);

// A whole output from weights that stay encoded.
struct PackedProduct {
  std::shared_ptr<const PackedWeights> weights;
  const float* bias;  // or null
  Matrix* output;
};

// Several products of one input at once: a single token leaves little to do for each.
Result<void> multiply(const Matrix& input, LinearInput& forms,
                      std::span<const PackedProduct> products, JobContext& job);

}  // namespace bitloom

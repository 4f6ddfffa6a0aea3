// SPDX-License-Identifier: GPL-3.0-or-later
// One linear op: output = input · weightᵀ + bias, in parallel over parts of the output. The parts'
// sizes have no influence on the result (kernels/cpu/kernels.h).
#pragma once
#include "core/base/job.h"
#include "core/inference/forward.h"

namespace bitloom {

struct LinearTile {
  const float* weights;  // rows × input.cols
  size_t firstRow;       // the tile's columns in the output begin here
  size_t rows;
  const float* bias;  // of the whole output, or null
};

// Fills columns [firstRow, firstRow + rows) of `output`. Cancel is noticed within some 20 ms.
Result<void> multiply(const Matrix& input, const LinearTile& tile, Matrix& output, JobContext& job);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Multiples of rows subtracted from other rows: the inner step of triangular factorization and of
// GPTQ. Unlike the kernels of kernels.h, these give the same bits on every processor: each product
// is rounded before it is subtracted, and products come in the order of k, element by element.
// Callers check sizes and cut the work. Any thread.
#pragma once
#include <stddef.h>

namespace bitloom {

// row_r[j] −= Σ_k factor(r, k)·pivot_k[j], k ascending, for r < rowCount and j < columns, where
// factor(r, k) = factors[r·factorRowStride + k·factorStride]. Strides count elements. Rows and
// pivots do not overlap.
template <typename T>
struct Elimination {
  T* rows;
  size_t rowStride;
  size_t rowCount;
  const T* factors;
  size_t factorRowStride;
  size_t factorStride;
  const T* pivots;
  size_t pivotStride;
  size_t pivotCount;
  size_t columns;
};

void eliminate(const Elimination<float>& task);
void eliminate(const Elimination<double>& task);

// How it is compiled for one processor; `cpu` as in kernels.h. Null where it does not run.
struct EliminationKernels {
  void (*floats)(const Elimination<float>& task);
  void (*doubles)(const Elimination<double>& task);
};
const EliminationKernels* findEliminationKernels(const char* cpu);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Row by row encoding of one tensor, shared by the methods that leave the choice of codes to the
// codec. Rows are independent, so any number of threads gives the same bytes; only a few rows for
// each thread are decoded at a time.
#pragma once
#include <span>

#include "core/method.h"

namespace bitloom {

// `weights`: an importance for each column, or empty. Corrupt when the source holds a value that is
// not finite; the sentence names tensor, row and column of the first.
Result<Encoded> encodeRows(const QuantizeTask& task, std::span<const float> weights,
                           JobContext& job);

// The same check alone, for tensors that are copied. `tensor.codec` must not be null.
Result<void> checkFinite(const Tensor& tensor, JobContext& job);

// Read by row, so that it has no inputs to calibrate on (a tied one has those of the head).
bool isEmbedding(const Tensor& tensor);

}  // namespace bitloom

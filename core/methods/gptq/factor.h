// SPDX-License-Identifier: GPL-3.0-or-later
// What GPTQ needs of the moments H = E[x·xᵀ] of a tensor's input, in the basis in which the codec's
// codes live. Matrices are row-major, n × n. The same bits at any thread count and on every
// processor.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "core/base/job.h"
#include "core/codec.h"

namespace bitloom::gptq {

// Whole blocks in place; a shorter last one is padded with zeros.
void toBasis(const Grid& grid, std::span<float> row);

// T·H·Tᵀ for the basis T.
std::vector<float> inBasis(const Grid& grid, std::span<const float> moments, size_t n,
                           JobContext& job);

struct Factor {
  double damping = 0;        // what was added to H's diagonal
  std::vector<float> upper;  // U of (H + damping·1)⁻¹ = UᵀU
};

// Adds as much to the diagonal as the factor needs to exist, 5 % of its mean at first; empty when
// nothing helps.
Result<std::optional<Factor>> inverseFactor(std::span<const float> h, size_t n, JobContext& job);

}  // namespace bitloom::gptq

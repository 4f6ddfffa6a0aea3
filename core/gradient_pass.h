// SPDX-License-Identifier: GPL-3.0-or-later
// One run of a model forward and back over independent sequences, for metrics that need gradients.
// Streams at all block borders are kept (blocks × tokens × width floats); inside a block sequences
// go in batches, so that memory does not grow with the text.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "core/inference/backward.h"
#include "core/live_loop.h"

namespace bitloom {

// The two factors of which a weight's gradient is made: Σ over rows of outputGradientᵀ·input.
struct WeightFactors {
  const Op& op;                     // Linear or Embed
  const Matrix* input;              // rows × in; null for Embed, whose input are the tokens
  std::span<const TokenId> tokens;  // of the rows; Embed only
  const Matrix& outputGradient;     // rows × out
  std::vector<uint32_t> sequences;  // of each row, ascending
};

struct GradientVisitor {
  std::function<Result<void>(const WeightFactors& factors)> weight;
  // No more factors will come for the ops of this block (−1: embedding, `blocks`: head).
  std::function<Result<void>(int block)> blockDone;
};

enum class SampledLoss {
  // log p(ŷ) of a label ŷ drawn from the model's own prediction at each scored position. The
  // expectation of the squared gradient is the Fisher information, the curvature of KL.
  ModelLabels,
  // −log p of the text's own next token.
  TextLabels,
};

// `tokens`: sequences laid end to end as `layout` says. Labels depend on `seed` and the position
// alone. Progress is told in blocks.
Result<void> gradientPass(const Variant& variant, std::span<const TokenId> tokens,
                          const ProbeOptions& layout, SampledLoss loss, uint64_t seed,
                          const GradientVisitor& visitor, JobContext& job);

}  // namespace bitloom

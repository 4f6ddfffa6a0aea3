// SPDX-License-Identifier: GPL-3.0-or-later
// Reverse mode over a Graph: from the gradient of a loss with respect to the logits to those of
// every point and weight. An interpreter like Forward, in the variant's precision (but in Measure
// gradients are multiplied as single bfloat16 parts, some 0.4 % at each op); it keeps nothing
// between calls. A block is computed again from the stream before it, so that only streams at block
// borders need to be kept (Chen et al., arXiv 1604.06174).
//
// Weights' gradients are not formed here: a tap sees the two factors of which each is made, and
// `weightGradient` multiplies them for who wants the whole.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/inference/forward.h"

namespace bitloom {

// One op during the backward pass. `outputGradient` is that of the point `op.output`, tokens ×
// width; `input` is the value of `op.input`, null for Embed, which has `tokens` instead.
struct OpGradient {
  const Op& op;
  const Matrix* input;
  std::span<const TokenId> tokens;
  const Matrix& outputGradient;
};
using GradientTap = std::function<Result<void>(const OpGradient&)>;

// Turns the logits of some rows in place into the gradient of the loss with respect to them;
// `firstRow` counts within the rows given to `Backward::head`.
using LogitsToGradient = std::function<Result<void>(size_t firstRow, Matrix& logits)>;

class Backward {
 public:
  explicit Backward(const Variant& variant);  // borrowed
  ~Backward();

  // Adds to `streamGradient` (shaped as `stream`, which is that before the head) what the head
  // gives for these rows of the stream. Logits are alive for a slab of rows at a time.
  Result<void> head(const Matrix& stream, std::span<const uint32_t> rows,
                    const LogitsToGradient& loss, Matrix& streamGradient, JobContext& job,
                    const GradientTap& tap = {});
  // From the gradient of the stream after a block to that before it, in place. Segments have no
  // cache: each is a whole sequence.
  Result<void> block(int block, const Matrix& streamBefore, std::span<const Segment> segments,
                     Matrix& streamGradient, JobContext& job, const GradientTap& tap = {});
  // The ops before block 0; there is nothing before them.
  Result<void> embed(std::span<const TokenId> tokens, const Matrix& streamGradient, JobContext& job,
                     const GradientTap& tap);

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

// Gradient of an op's weight, shaped as the weight (rows × row length; a norm's is 1 × width), and
// of a Linear's bias (1 × out).
Matrix weightGradient(const OpGradient& gradient, const Graph& graph, JobContext& job);
Matrix biasGradient(const OpGradient& gradient);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Reverse mode of the attention op over whole sequences (no caches), in f32. In parallel over
// segments and heads of keys.
#pragma once
#include <span>

#include "core/base/job.h"
#include "core/inference/attention.h"

namespace bitloom {

struct AttentionGradients {  // shaped as the inputs
  Matrix queries;
  Matrix keys;
  Matrix values;
};

// `outputGradient`: tokens × heads·valueWidth.
Result<AttentionGradients> attentionGradients(const Op& op, const AttentionInputs& inputs,
                                              std::span<const Segment> segments,
                                              const Matrix& outputGradient, JobContext& job);

}  // namespace bitloom

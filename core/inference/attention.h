// SPDX-License-Identifier: GPL-3.0-or-later
// The attention op over several segments: each attends to its own sequence only, through its cache
// when it has one. In parallel over segments, heads and runs of queries.
#pragma once
#include <span>

#include "core/base/job.h"
#include "core/graph.h"
#include "core/inference/forward.h"

namespace bitloom {

struct AttentionInputs {
  const Matrix& queries;  // tokens × heads·headWidth, rotated
  const Matrix& keys;     // tokens × kvHeads·headWidth, rotated
  const Matrix& values;   // tokens × kvHeads·valueWidth
};

// Appends keys and values to the segments' caches (without committing their size) and fills
// `output`, tokens × heads·valueWidth.
Result<void> attend(const Op& op, const AttentionInputs& inputs, std::span<const Segment> segments,
                    Precision precision, Matrix& output, JobContext& job);

}  // namespace bitloom

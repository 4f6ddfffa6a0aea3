// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors a token's divergence comes from. One pass back through the variant, from the
// divergence of the prediction after a context, says for every changed tensor what restoring it
// would give to first order; the likeliest ones are then restored one at a time and measured.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "core/base/job.h"
#include "core/inference/tokenizer.h"
#include "core/variant.h"

namespace bitloom {

struct Culprit {
  size_t tensor = 0;  // index in Model::tensors()
  double kld = 0;     // nats, measured with this tensor as the reference has it
};

struct TokenCulprits {
  double kld = 0;             // of the variant as it is
  std::vector<Culprit> best;  // most given back first; none that gives nothing back
  size_t measured = 0;        // tensors that were restored on trial
};

// Divergence of the prediction that follows `context`, which is not empty, and the `count` best
// tensors. Both are variants of one model; a Chat precision is taken as Measure. Cancel is noticed
// at every op.
Result<TokenCulprits> findCulprits(const Variant& reference, const Variant& variant,
                                   std::span<const TokenId> context, size_t count, JobContext& job);

}  // namespace bitloom

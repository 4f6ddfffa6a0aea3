// SPDX-License-Identifier: GPL-3.0-or-later
// What the dense decoder families have in common: RMS norm before attention and before a gated
// feed-forward part, rotary positions, grouped query heads, residual sums.
#pragma once
#include "core/architecture.h"

namespace bitloom {

struct TransformerTraits {
  RopeStyle ropeStyle;
  bool headNorms;  // an RMS norm of each q and k head before rotation
};

// Shapes, in GGUF order (row length first), W = embedding_length:
//   token_embd W × vocabulary · attn_q W × heads·keyLength · attn_k W × kvHeads·keyLength ·
//   attn_v W × kvHeads·valueLength · attn_output heads·valueLength × W · ffn_gate, ffn_up W × F ·
//   ffn_down F × W · output W × vocabulary (absent: token_embd is used).
// Every linear weight may have a bias of the same name. A block with tensors that are not among
// these is refused: it would compute something else.
Result<Graph> buildTransformer(const Model& model, const TransformerTraits& traits);

}  // namespace bitloom

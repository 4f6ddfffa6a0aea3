// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/architectures/transformer/transformer.h"

namespace bitloom {
namespace {

Result<Graph> build(const Model& model) {
  return buildTransformer(model, {.ropeStyle = RopeStyle::AdjacentPairs, .headNorms = false});
}

}  // namespace

extern const Architecture architecture_llama;
const Architecture architecture_llama = {
    .name = "llama",
    .summary =
        "Llama, Mistral, SmolLM: rotation of adjacent pairs, optional Llama-3 frequency factors",
    .build = build};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/architectures/transformer/transformer.h"

namespace bitloom {
namespace {

Result<Graph> build(const Model& model) {
  return buildTransformer(model, {.ropeStyle = RopeStyle::HalfSplit, .headNorms = true});
}

}  // namespace

extern const Architecture architecture_qwen3;
const Architecture architecture_qwen3 = {
    .name = "qwen3",
    .summary = "Qwen3, dense: a norm on each head of q and k, rotation of half splits",
    .build = build};

}  // namespace bitloom

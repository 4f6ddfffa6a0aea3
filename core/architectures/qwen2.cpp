// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/architectures/transformer/transformer.h"

namespace bitloom {
namespace {

Result<Graph> build(const Model& model) {
  return buildTransformer(model, {.ropeStyle = RopeStyle::HalfSplit, .headNorms = false});
}

}  // namespace

extern const Architecture architecture_qwen2;
const Architecture architecture_qwen2 = {
    .name = "qwen2",
    .summary = "Qwen2 and Qwen2.5: biases on q, k and v, rotation of half splits",
    .build = build};

}  // namespace bitloom

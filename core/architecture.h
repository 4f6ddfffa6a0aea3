// SPDX-License-Identifier: GPL-3.0-or-later
// A model family: turns metadata and tensors into a Graph. One file in core/architectures/ adds
// one; its name is the value of `general.architecture`.
#pragma once
#include <span>
#include <string_view>

#include "core/graph.h"
#include "core/model.h"

namespace bitloom {

struct Architecture {
  std::string_view name;
  std::string_view summary;
  // Errors name the missing or misshapen tensor or key.
  Result<Graph> (*build)(const Model& model);
};

std::span<const Architecture* const> architectures();
const Architecture* findArchitecture(std::string_view name);

// The graph of a model by its `general.architecture`.
Result<Graph> buildGraph(const Model& model);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// A Recipe is what was asked: data, kept as JSON, edited by the window. `resolve` turns it, with a
// model, into a Plan: what will be done, tensor by tensor, with the reason and the exact size of
// the file. Both are plain values; `resolve` is pure.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/codec.h"
#include "core/graph.h"
#include "core/method.h"
#include "core/model.h"
#include "core/profile.h"
#include "kernels/base/result.h"

namespace bitloom {

struct Rule {
  std::string pattern;  // glob on tensor names; an exact name is a glob too
  std::string codec;
  std::string method = "nearest";
  std::map<std::string, std::string> options;
  std::string why;  // "dragged", "pinned", "solver, λ = 3.1e-5 per MB"; may be empty
  bool pinned = false;
  bool operator==(const Rule&) const = default;
};

struct Recipe {
  std::string name;
  std::string profile = "thetom";  // runtime profile that gives type numbers
  std::vector<Rule> rules;         // last match wins; a tensor that none matches keeps its type
  bool operator==(const Recipe&) const = default;
};

std::string toJson(const Recipe& recipe);
Result<Recipe> parseRecipe(std::string_view json, std::string_view nameForErrors);
Result<Recipe> loadRecipe(const std::filesystem::path& path);
Result<void> saveRecipe(const Recipe& recipe, const std::filesystem::path& path);

// `codec` for every 2-D weight, embedding and head included; 1-D tensors stay as they are (f32).
Recipe uniformRecipe(const Codec& codec);

struct Choice {
  size_t tensor = 0;                 // index in Model::tensors()
  const Codec* requested = nullptr;  // null: the tensor is copied unchanged
  const Codec* effective = nullptr;  // after fallback for the row length; null: copied
  const Method* method = nullptr;
  std::map<std::string, std::string> options;
  std::string
      reason;  // "rule blk.*.ffn_down.weight", "row of 172 is not a multiple of 32 → f16", …
  uint64_t bytes = 0;  // of the tensor's data in the file, padding excluded
  bool pinned = false;
};

struct Plan {
  std::vector<Choice> tensors;  // same order as Model::tensors()
  std::string recipeJson;       // provenance
  std::string profile;
  uint64_t fileBytes = 0;  // of the file that will be written, header and padding included
  uint64_t tensorBytes = 0;
  double bitsPerWeight = 0;  // tensorBytes × 8 ÷ weights
  std::string hash;          // SHA-256 over source fingerprint and every choice
};

Result<Plan> resolve(const Recipe& recipe, const Model& model);

// A weight that recipes may change: 2-D or more, decodable, named "*.weight", and neither a norm,
// a router nor a position table.
bool isQuantizable(const Tensor& tensor);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// How a budget of bytes is spent: one codec for each item (a tensor, or a group that must agree),
// least predicted damage, total within the budget. One file in core/allocators/ adds one.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/job.h"
#include "core/prediction.h"
#include "core/recipe.h"
#include "core/sensitivity.h"

namespace bitloom {

struct AllocationOption {
  const Codec* codec;
  uint64_t bytes;  // in the file, padding included
  double damage;
  // Of quadratic metrics (core/metric.h): one number for each sequence. Damage is the mean of their
  // squares; that of several options together is the mean of the squares of their sums.
  std::vector<float> samples = {};
};

struct AllocationItem {
  std::string name;                       // of the tensor, or of the group
  std::vector<size_t> tensors;            // indices in Model::tensors()
  std::vector<AllocationOption> options;  // at least one
  int block = kNone;                      // as Part::block; one for a whole group
};

struct Allocation {
  std::vector<size_t> option;  // chosen option of each item
  uint64_t bytes = 0;          // of the items
  double damage = 0;
  double lambda = 0;  // damage per byte at the solution; 0 when not defined
};

// Damage of one option for each item, measured on the model itself.
using MeasureChoice =
    std::function<Result<double>(const std::vector<size_t>& options, JobContext& job)>;

struct AllocationTask {
  std::span<const AllocationItem> items;
  uint64_t budget = 0;  // bytes for all items together; at least the sum of the smallest options
  MeasureChoice measure = {};  // empty: there is no text to measure on
};

struct Allocator {
  std::string_view name;
  std::string_view summary;
  Result<Allocation> (*solve)(const AllocationTask& task, JobContext& job);
};

std::span<const Allocator* const> allocators();
const Allocator* findAllocator(std::string_view name);

struct AllocationRequest {
  uint64_t fileBytes = 0;                   // the target: size of the final file
  std::vector<const Codec*> codecs;         // candidates
  std::map<std::string, std::string> pins;  // glob on tensor names → codec
  bool fuseGroups = false;                  // q/k/v and gate/up get one codec each
  std::string allocator = "knapsack";
  std::string profile = "thetom";
  // Divergence of a whole plan, for allocators that search by measuring; may be empty.
  std::function<Result<double>(const Plan& plan, JobContext& job)> measure = {};
};

struct SizeRange {
  uint64_t floor = 0;
  uint64_t ceiling = 0;
};

// The smallest and largest file that candidates and pins allow.
Result<SizeRange> reachableSizes(const Model& model, const Graph& graph,
                                 const AllocationRequest& request);

// Sensitivity + request → a recipe of exact-name rules whose plan fits the target, to the byte. A
// target below the floor is refused with floor and ceiling in the sentence; one above the ceiling
// gives the ceiling. Every quantizable tensor needs cells for at least one candidate, else
// NotFound.
struct Solution {
  Recipe recipe;
  Plan plan;
  Prediction predicted;  // by the cells
};
Result<Solution> solve(const Model& model, const Graph& graph, const Sensitivity& sensitivity,
                       const AllocationRequest& request, JobContext& job);

// The honest baseline (same bytes, no knowledge): a mix of the two uniform codecs that neighbour
// the budget on the lower hull of (size, damage), tensors chosen at random by `seed`; tensors
// matching `pins` are as in the request.
Result<Recipe> blindMix(const Model& model, const Graph& graph, const Sensitivity& sensitivity,
                        const AllocationRequest& request, uint64_t seed, JobContext& job);

}  // namespace bitloom

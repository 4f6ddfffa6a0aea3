// SPDX-License-Identifier: GPL-3.0-or-later
// A request turned into items and options with exact bytes, for any allocator.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/allocator.h"

namespace bitloom {

constexpr size_t kNoOption = std::numeric_limits<size_t>::max();

struct Problem {
  std::vector<AllocationItem> items;
  // Which option of an item a candidate of the request stands for; kNoOption when it has no
  // measured damage. Pinned items have one option, for every candidate.
  std::vector<std::vector<size_t>> optionOf;  // items × request.codecs
  std::vector<bool> pinned;
  uint64_t fixedBytes = 0;  // of the file, before the header is padded: all that no item changes
  uint64_t alignment = 32;

  uint64_t fileBytes(uint64_t itemBytes) const;
  // The largest sum of item bytes whose file has at most `target` bytes; 0 when none has.
  uint64_t budget(uint64_t target) const;
};

// Quantizable tensors as items, grouped when the request says so. Damage comes from `sensitivity`;
// without one it is 0 and every candidate is an option.
Result<Problem> makeProblem(const Model& model, const Graph& graph,
                            const AllocationRequest& request, const Sensitivity* sensitivity);

Result<const Allocator*> allocatorOf(const AllocationRequest& request);

// The choice as a recipe of that name, its plan, and what the cells say of it.
Result<Solution> solutionOf(const Problem& problem, const Model& model,
                            const Sensitivity& sensitivity, const AllocationRequest& request,
                            const Allocation& allocation, const std::string& name);

// The choice as exact-name rules, followed by the pins.
Recipe recipeFor(const Problem& problem, const Model& model, const AllocationRequest& request,
                 const std::vector<size_t>& options, const std::string& why);

}  // namespace bitloom

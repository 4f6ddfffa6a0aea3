// SPDX-License-Identifier: GPL-3.0-or-later
// Budgets of memory instead of a file's size: weights and the key-value cache of a context must fit
// one device, or several that take the model's blocks in a row (a processor and graphics cards, as
// llama.cpp spreads layers). Where one device ends and the next begins is chosen with the codecs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/allocator.h"

namespace bitloom {

struct DeviceMemory {
  std::string name;
  uint64_t bytes = 0;  // for weights and cache together
};

struct MemoryBudget {
  std::vector<DeviceMemory> devices;  // at least one, in the order of the blocks
  uint32_t contextLength = 4096;      // tokens of the key-value cache
};

struct DeviceShare {
  int firstBlock = 0;
  int endBlock = 0;          // one past the last; equal to the first when it holds none
  uint64_t weightBytes = 0;  // padded as in the file
  uint64_t cacheBytes = 0;   // f16
};

struct DeviceSplit {
  Solution solution;
  std::vector<DeviceShare> shares;  // one for each device
};

// The first device also holds what comes before the blocks, the last one the head; an embedding
// that is the head too lies on both. `request.fileBytes` is not looked at. The allocator solves
// each device's part by itself, so one that measures whole plans is refused. When nothing fits, the
// sentence says what the model needs at least.
Result<DeviceSplit> solveSplit(const Model& model, const Graph& graph,
                               const Sensitivity& sensitivity, const AllocationRequest& request,
                               const MemoryBudget& budget, JobContext& job);

}  // namespace bitloom

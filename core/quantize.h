// SPDX-License-Identifier: GPL-3.0-or-later
// Writes a model through a plan. Streams tensor by tensor into a temporary name beside the target,
// checks disk space first, fsyncs, re-reads and compares with the plan, renames. Nothing appears
// under the final name unless it is complete. Memory: a few decoded tensors.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/job.h"
#include "core/calibration.h"
#include "core/model.h"
#include "core/recipe.h"

namespace bitloom {

struct QuantizeSummary {
  std::filesystem::path path;
  uint64_t bytes = 0;
  double bitsPerWeight = 0;
  double seconds = 0;
  Plan plan;
};

struct QuantizeOptions {
  bool resume = false;  // continue from `<target>.part` and its journal when they fit the plan
};

Result<QuantizeSummary> quantize(const Model& model, const Plan& plan,
                                 const Calibration* calibration,
                                 const std::filesystem::path& target,
                                 const QuantizeOptions& options, JobContext& job);

}  // namespace bitloom

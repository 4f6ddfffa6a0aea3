// SPDX-License-Identifier: GPL-3.0-or-later
// A format that another program loads. One file in core/exporters/ adds one; it says before the
// work what will load where, and refuses what it cannot hold.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/job.h"
#include "core/calibration.h"
#include "core/model.h"
#include "core/quantize.h"
#include "core/recipe.h"

namespace bitloom {

struct ExportCheck {
  Recipe recipe;  // as it will be written (types replaced by portable ones)
  Plan plan;
  std::vector<std::string> loads;    // programs that load it
  std::vector<std::string> refuses;  // programs that do not, and why
  std::vector<std::string> changes;  // "blk.0.ffn_up.weight: tq3_1s → q4_0: mainline has no TQ3_1S"
  std::string command;               // line that runs the file; %f stands for its path
};

struct Exporter {
  std::string_view name;  // "gguf-mainline"
  std::string_view title;
  std::string_view summary;
  std::string_view extension;
  Result<ExportCheck> (*check)(const Recipe& recipe, const Model& model);
  Result<QuantizeSummary> (*write)(const ExportCheck& check, const Model& model,
                                   const Calibration* calibration,
                                   const std::filesystem::path& target, JobContext& job);
};

std::span<const Exporter* const> exporters();
const Exporter* findExporter(std::string_view name);

}  // namespace bitloom

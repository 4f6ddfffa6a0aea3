// SPDX-License-Identifier: GPL-3.0-or-later
// The same choices with types that a given runtime has: shared by the GGUF exporters.
#pragma once
#include <string_view>

#include "core/exporter.h"

namespace bitloom {

// Replaces each codec that `profile` has no number for by the one of nearest size that it has and
// that holds the row; one more than a twentieth smaller is never taken. Fills in every field but
// `command`. The model's tensors that recipes cannot change must be known to the profile.
Result<ExportCheck> portableTwin(const Recipe& recipe, const Model& model,
                                 std::string_view profile);

// Writes the checked plan.
Result<QuantizeSummary> writeTwin(const ExportCheck& check, const Model& model,
                                  const Calibration* calibration,
                                  const std::filesystem::path& target, JobContext& job);

}  // namespace bitloom

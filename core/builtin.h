// SPDX-License-Identifier: GPL-3.0-or-later
// The model and texts that ship with the program (resources/), so that everything works before
// anything is downloaded. Searched beside the program, in its installation and in the source tree.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "kernels/base/result.h"

namespace bitloom {

Result<std::filesystem::path> builtinModelPath();
Result<std::filesystem::path> builtinCalibrationText();  // never used for evaluation
Result<std::filesystem::path> builtinEvaluationText();   // held out: never used for calibration

// "builtin" → the built-in model's path; anything else unchanged.
Result<std::filesystem::path> resolveModelArgument(std::string_view argument);

// A whole text file as bytes, line ends untouched.
Result<std::string> readText(const std::filesystem::path& path);

}  // namespace bitloom

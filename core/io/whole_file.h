// SPDX-License-Identifier: GPL-3.0-or-later
// Small files as one piece of bytes. A written file appears complete under its name or not at all;
// an older file of that name is replaced only then.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "kernels/base/result.h"

namespace bitloom {

Result<std::string> readWholeFile(const std::filesystem::path& path);
Result<void> writeWholeFile(const std::filesystem::path& path, std::string_view bytes);

}  // namespace bitloom

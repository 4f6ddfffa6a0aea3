// SPDX-License-Identifier: GPL-3.0-or-later
// What a driver compiled, kept between runs of the program: a file for each device and driver. What
// cannot be read or written is compiled anew; nobody is bothered with it.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "kernels/vulkan/instance.h"

namespace bitloom {

std::filesystem::path pipelineFile(const std::filesystem::path& folder,
                                   const vulkan::DeviceInfo& device);
std::vector<std::byte> readPipelines(const std::filesystem::path& file);
void writePipelines(const std::filesystem::path& file, std::span<const std::byte> data);

}  // namespace bitloom

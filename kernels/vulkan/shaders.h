// SPDX-License-Identifier: GPL-3.0-or-later
// The compiled shaders, generated from kernels/vulkan/shaders (embed_shaders.cmake).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace bitloom::vulkan {

struct Shader {
  std::string_view name;  // "rope", or "gemv.q4_0" of those that exist for each codec
  std::span<const uint32_t> words;
};

std::span<const Shader> shaders();
const Shader* findShader(std::string_view name);  // null when unknown

}  // namespace bitloom::vulkan

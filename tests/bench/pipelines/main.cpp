// SPDX-License-Identifier: GPL-3.0-or-later
// What a driver's compiler makes of the shaders: registers, spills, occupancy. RADV compiles for a
// card that is not there: RADV_FORCE_FAMILY=navi21 VK_ICD_FILENAMES=…/radeon_icd.x86_64.json
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/vulkan/device.h"
#include "kernels/vulkan/shaders.h"

namespace bitloom {
namespace {

// Specialization constants as ops.cpp has them on a GPU.
std::vector<uint32_t> constantsOf(std::string_view shader) {
  if (shader.starts_with("gemv.")) return {8, 1, 1, 0, 1};
  if (shader.starts_with("gemm.")) return {4, 32, 1, 0, 1};
  if (shader == "attention") return {32, 8, 1, 64, 2};
  if (shader == "rms_norm") return {64};
  return {};
}

int report() {
  const auto instance = vulkan::Instance::create();
  if (!instance) return std::fprintf(stderr, "%s\n", instance.error().message.c_str()), 1;
  auto device = vulkan::Device::open(*instance, 0, {.figures = true});
  if (!device) return std::fprintf(stderr, "%s\n", device.error().message.c_str()), 1;
  std::printf("%s\n\n", (*device)->info().name.c_str());
  std::vector<std::string> names;
  double spills = 0;
  for (const vulkan::Shader& shader : vulkan::shaders()) {
    if (shader.name.find("_spread") != std::string_view::npos) continue;
    auto figures = (*device)->pipelineFigures(shader.name, constantsOf(shader.name));
    if (!figures) return std::fprintf(stderr, "%s\n", figures.error().message.c_str()), 1;
    std::erase_if(*figures, [](const auto& each) { return each.name.ends_with("ash"); });
    if (names.empty()) {
      std::printf("| shader |");
      for (const auto& figure : *figures) {
        names.push_back(figure.name);
        std::printf(" %s |", figure.name.c_str());
      }
      std::printf("\n|---|");
      for (size_t i = 0; i < names.size(); ++i) std::printf("---|");
      std::printf("\n");
    }
    std::printf("| %.*s |", int(shader.name.size()), shader.name.data());
    for (const auto& figure : *figures) {
      std::printf(" %.0f |", figure.value);
      if (figure.name.find("pill") != std::string::npos) spills += figure.value;
    }
    std::printf("\n");
  }
  std::printf("\nspilled registers in all: %.0f\n", spills);
  return spills > 0 ? 1 : 0;
}

}  // namespace
}  // namespace bitloom

int main() { return bitloom::report(); }

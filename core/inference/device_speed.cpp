// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/device_speed.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/vulkan/ops.h"

namespace bitloom {
namespace {

constexpr uint64_t kColumns = 4096;
constexpr uint64_t kMostBytes = uint64_t{128} << 20;  // more than caches hold
constexpr uint32_t kTokens = 128;
constexpr uint64_t kProductRows = 1024;
constexpr int kRuns = 4;  // of which the first compiles

Result<vulkan::Buffer> zeros(vulkan::Device& device, uint64_t bytes) {
  return device.put(std::vector<std::byte>(bytes).data(), bytes);
}

// Seconds of one product of `rows` rows of f16.
Result<double> secondsOf(vulkan::Device& device, uint64_t rows, uint32_t tokens) {
  constexpr uint64_t kRowBytes = kColumns * sizeof(uint16_t);
  const std::vector<uint8_t> bytes(rows * kRowBytes);
  TRY(const auto weights, vulkan::upload(device, "f16", bytes.data(), rows, kColumns, kRowBytes));
  TRY(const auto input, zeros(device, tokens * kColumns * sizeof(float)));
  TRY(const auto output, device.allocate(tokens * rows * sizeof(float)));
  vulkan::Recording recording(device);
  vulkan::Ops ops(device, recording);
  TRY(ops.linear(weights, input, tokens, nullptr, output));
  double best = 1e30;
  for (int run = 0; run < kRuns; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    TRY(recording.run());
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (run > 0) best = std::min(best, seconds);
  }
  return best;
}

}  // namespace

Result<DeviceSpeed> measureSpeed(vulkan::Device& device) {
  const uint64_t bytes = std::min(kMostBytes, device.limitBytes() / 8);
  const uint64_t rows = std::max<uint64_t>(32, bytes / (kColumns * sizeof(uint16_t)));
  TRY(const double single, secondsOf(device, rows, 1));
  TRY(const double many, secondsOf(device, kProductRows, kTokens));
  return DeviceSpeed{double(rows * kColumns * sizeof(uint16_t)) / single,
                     double(kProductRows * kColumns * kTokens) / many};
}

}  // namespace bitloom

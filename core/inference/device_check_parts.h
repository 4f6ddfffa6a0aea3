// SPDX-License-Identifier: GPL-3.0-or-later
// What the checks of a device's kernels share; for device_check*.cpp. Each check returns its worst
// error, relative to the expected values' root mean square unless it says otherwise.
#pragma once
#include <limits>
#include <vector>

#include "core/codec.h"
#include "kernels/vulkan/ops.h"

namespace bitloom::device_check {

using Floats = std::vector<float>;

// Sums of four uniform numbers, within ±2: the same on every standard library.
Floats randomFloats(size_t count, uint32_t seed);

// NaN when any value is.
double worstError(const Floats& actual, const std::vector<double>& expected);

// One check's buffers and recording.
class Bench {
 public:
  explicit Bench(vulkan::Device& device)
      : m_device(device), m_recording(device), ops(device, m_recording) {}

  template <typename T>
  Result<vulkan::Buffer> put(const std::vector<T>& values) {
    TRY(vulkan::Buffer buffer, m_device.allocate(values.size() * sizeof(T)));
    TRY(m_device.write(buffer, 0, values.data(), values.size() * sizeof(T)));
    return buffer;
  }
  // Filled with NaN, so that what is not written shows.
  Result<vulkan::Buffer> room(size_t count) {
    return put(Floats(count, std::numeric_limits<float>::quiet_NaN()));
  }
  Result<Floats> run(const vulkan::Buffer& output, size_t count) {
    TRY(m_recording.run());
    Floats values(count);
    TRY(m_device.read(output, 0, values.data(), count * sizeof(float)));
    return values;
  }

 private:
  vulkan::Device& m_device;
  vulkan::Recording m_recording;

 public:
  vulkan::Ops ops;
};

// Kernels of a codec (device_check_codecs.cpp).
Result<double> checkEmbed(vulkan::Device& device, const Codec& codec);
Result<double> checkLinear(vulkan::Device& device, const Codec& codec, uint32_t tokens);
// How much more of the weights' energy is lost than by the host's encoder: codes may differ where a
// division is rounded the other way.
Result<double> checkEncode(vulkan::Device& device, const Codec& codec);

// Kernels that no codec has (device_check_ops.cpp).
Result<double> checkNorm(vulkan::Device& device);
Result<double> checkRope(vulkan::Device& device, bool adjacent);
Result<double> checkElementwise(vulkan::Device& device, vulkan::Elementwise kind);
Result<double> checkGather(vulkan::Device& device);
Result<double> checkAttention(vulkan::Device& device, vulkan::CacheFormat format, uint32_t splits);
Result<double> checkTop(vulkan::Device& device);
Result<double> checkDivergence(vulkan::Device& device);

}  // namespace bitloom::device_check

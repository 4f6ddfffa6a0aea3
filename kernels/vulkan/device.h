// SPDX-License-Identifier: GPL-3.0-or-later
// One open Vulkan device: its memory, its pipelines and its one queue. Buffers are cut from few
// large pieces of device memory. An error of code Device means that the device is lost or broken:
// nothing works on it from then on, and its buffers may only be destroyed. An error of code
// OutOfMemory leaves everything as it was. Used from one thread at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/vulkan/instance.h"

namespace bitloom::vulkan {

class Device;

// A range of device memory, at an offset that every binding may begin at. Outlived by its device.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  uint64_t bytes() const { return m_bytes; }

 private:
  friend class Device;
  friend class Recording;
  Device* m_device = nullptr;
  size_t m_piece = 0;
  uint64_t m_offset = 0;
  uint64_t m_bytes = 0;
};

struct DeviceOptions {
  uint64_t memoryLimit = 0;  // bytes of all buffers together; 0: what the driver says is free
  std::span<const std::byte> pipelines;  // what pipelineData() gave; another device's is ignored
  // For tests: this submission and all after it answer VK_ERROR_DEVICE_LOST. 0: none.
  uint64_t lostAtSubmission = 0;
  // For tests: a software device takes the products of GPUs, and its memory is one that the host
  // does not reach.
  bool asGpu = false;
  // Pipelines keep what the driver's compiler says of them, for pipelineFigures.
  bool figures = false;
};

// Time that a kernel took on the device, over all of its runs.
struct KernelTime {
  std::string shader;
  uint64_t runs = 0;
  double seconds = 0;
};

// What a driver's compiler says of a pipeline: "VGPRs" 64. The names are the driver's.
struct PipelineFigure {
  std::string name;
  double value = 0;
};

class Device {
 public:
  static Result<std::unique_ptr<Device>> open(std::shared_ptr<Instance> instance, size_t index,
                                              const DeviceOptions& options = {});
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const;
  bool isLost() const;
  // Whether products hand activations round between lanes (README.md): on software devices.
  bool spreads() const;
  // Whether it encodes weights sooner than the host: not where it is the host.
  bool encodesFaster() const;

  // Its bytes are undefined. `bytes` is at most info().storageRange.
  Result<Buffer> allocate(uint64_t bytes);
  // A buffer that holds a copy of these.
  Result<Buffer> put(const void* from, uint64_t bytes);
  uint64_t usedBytes() const;   // of all buffers
  uint64_t limitBytes() const;  // for them

  // Until all is done that the device was given.
  Result<void> wait();
  // Both wait so.
  Result<void> write(const Buffer& to, uint64_t offset, const void* from, uint64_t bytes);
  Result<void> read(const Buffer& from, uint64_t offset, void* to, uint64_t bytes);

  // Multiply-adds that one submission may hold, so that it takes some 50 ms: learnt from those that
  // ran.
  double submissionWork() const;
  uint64_t submissions() const;

  // Opened with `figures`; Unsupported where the driver tells none.
  Result<std::vector<PipelineFigure>> pipelineFigures(std::string_view shader,
                                                      const std::vector<uint32_t>& constants);

  // The driver's compiled pipelines, for the next start; and how many were compiled in this one.
  std::vector<std::byte> pipelineData() const;
  size_t pipelinesMade() const;

  // From now on what is recorded has its kernels timed, one after the other: slower as a whole.
  // Unsupported where the device has no clock.
  Result<void> timeKernels();
  std::vector<KernelTime> kernelTimes() const;  // the longest first

  struct State;
  State& state() const { return *m_state; }

 private:
  friend class Buffer;
  friend class Recording;
  explicit Device(std::unique_ptr<State> state);
  Result<Buffer> cut(uint64_t bytes, bool ofHost);  // from a piece
  Result<void> makeStaging();
  std::unique_ptr<State> m_state;
};

}  // namespace bitloom::vulkan

// SPDX-License-Identifier: GPL-3.0-or-later
// What the sources of one open device share.
#pragma once
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/vulkan/device.h"
#include "kernels/vulkan/pieces.h"
#include "kernels/vulkan/vulkan_state.h"

namespace bitloom::vulkan {

// A large allocation from which buffers are cut.
struct Piece {
  VkDeviceMemory memory = VK_NULL_HANDLE;
  VkBuffer buffer = VK_NULL_HANDLE;
  std::byte* mapped = nullptr;  // null: the host cannot reach it
  bool ofHost = false;          // the host's memory, for transfers only
  FreeRanges ranges;
};

// Half of what bytes come and go through: one is filled while the other is copied.
struct Staging {
  Buffer buffer;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  uint64_t submission = 0;  // that used it last
};

struct Device::State {
  std::shared_ptr<Instance> instance;
  size_t index = 0;
  DeviceInfo info;
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  VkDevice device = VK_NULL_HANDLE;
  VolkDeviceTable api = {};
  uint32_t family = 0;
  VkQueue queue = VK_NULL_HANDLE;
  VkPhysicalDeviceMemoryProperties memory = {};
  uint64_t alignment = 256;  // of a binding's offset
  uint64_t limit = 0;
  uint64_t used = 0;
  std::vector<Piece> pieces;       // an emptied one keeps its place, without memory
  std::array<Staging, 2> staging;  // buffers made on first use

  VkCommandPool commands = VK_NULL_HANDLE;
  VkDescriptorSetLayout setLayout = VK_NULL_HANDLE;
  VkPipelineLayout pipelineLayout = VK_NULL_HANDLE;
  VkPipelineCache pipelineCache = VK_NULL_HANDLE;
  using PipelineKey = std::pair<std::string, std::vector<uint32_t>>;
  std::map<PipelineKey, VkPipeline> pipelines;

  // Ends of submissions: a timeline's values where there is one, else a fence for each in flight.
  VkSemaphore timeline = VK_NULL_HANDLE;
  std::vector<std::pair<uint64_t, VkFence>> fences;
  uint64_t submitted = 0;
  uint64_t done = 0;

  double workPerSecond = 0;  // multiply-adds, learnt
  double tickSeconds = 0;    // of the queue's clock; 0: it has none
  bool timed = false;
  std::map<std::string, KernelTime> times;
  bool lost = false;
  bool figures = false;
  bool asGpu = false;
  uint64_t lostAtSubmission = 0;

  Error failed(VkResult result, const std::string& doing);
  Result<uint64_t> submit(VkCommandBuffer commandBuffer);  // → its number
  Result<void> waitFor(uint64_t submission);
  Result<VkPipeline> pipeline(std::string_view shader, const std::vector<uint32_t>& constants);
  int memoryType(uint32_t allowed, VkMemoryPropertyFlags wanted) const;  // −1: none
  // Whether the host reaches all of the device's memory.
  bool isShared() const;
  Result<size_t> addPiece(uint64_t bytes, bool ofHost);
  std::byte* mapped(const Buffer& buffer) const;  // null: the host cannot reach it
  Result<void> transferSlice(Staging& half, const Buffer& buffer, uint64_t offset, uint64_t bytes,
                             bool toDevice);
  void destroy();
};

}  // namespace bitloom::vulkan

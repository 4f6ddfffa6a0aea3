// SPDX-License-Identifier: GPL-3.0-or-later
// Memory that the host can reach directly (one memory for both, as in integrated and software
// devices) is written in place; other memory through a staging buffer.
#include "kernels/vulkan/device.h"

#include <algorithm>
#include <cstring>

#include "kernels/vulkan/device_state.h"
#include "kernels/vulkan/recording.h"
#include "kernels/vulkan/shaders.h"

namespace bitloom::vulkan {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{256} << 20;
constexpr uint64_t kStagingBytes = uint64_t{8} << 20;
constexpr double kSubmissionSeconds = 0.05;
// Far beyond any submission; software devices compile a shader when it first runs.
constexpr uint64_t kWaitNanoseconds = 120'000'000'000;
constexpr VkMemoryPropertyFlags kHost =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

// Multiply-adds per second that a first submission is cut for: less than any device of its kind
// has.
double cautiousSpeed(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::Discrete:
      return 1e12;
    case DeviceKind::Integrated:
      return 1e11;
    default:
      return 1e9;
  }
}

uint64_t roundUp(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

// Compute without graphics where there is a queue of its own.
uint32_t chooseFamily(VkPhysicalDevice device) {
  const auto families =
      listOf<VkQueueFamilyProperties>(vkGetPhysicalDeviceQueueFamilyProperties, device);
  uint32_t chosen = UINT32_MAX;
  for (uint32_t i = 0; i < families.size(); ++i) {
    if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
    const bool own = !(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT);
    if (own) return i;
    if (chosen == UINT32_MAX) chosen = i;
  }
  return chosen;
}

Result<void> createDevice(Device::State& state) {
  state.family = chooseFamily(state.physical);
  const float priority = 1;
  const VkDeviceQueueCreateInfo queue{.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                      .queueFamilyIndex = state.family,
                                      .queueCount = 1,
                                      .pQueuePriorities = &priority};
  VkPhysicalDeviceTimelineSemaphoreFeatures timeline{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
      .timelineSemaphore = VK_TRUE};
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
      .pipelineExecutableInfo = VK_TRUE};
  const void* features = nullptr;
  std::vector<const char*> extensions;
  if (state.info.timeline) {
    features = &timeline;
  }
  if (state.info.memoryBudget) extensions.push_back(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  if (state.figures) {
    executables.pNext = const_cast<void*>(features);
    features = &executables;
    extensions.push_back(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
  }
  const VkDeviceCreateInfo info{.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                .pNext = features,
                                .queueCreateInfoCount = 1,
                                .pQueueCreateInfos = &queue,
                                .enabledExtensionCount = uint32_t(extensions.size()),
                                .ppEnabledExtensionNames = extensions.data()};
  const VkResult result = vkCreateDevice(state.physical, &info, nullptr, &state.device);
  if (result != VK_SUCCESS) return state.failed(result, "opening it");
  volkLoadDeviceTable(&state.api, state.device);
  state.api.vkGetDeviceQueue(state.device, state.family, 0, &state.queue);
  return {};
}

Result<void> createCommands(Device::State& state) {
  const VkCommandPoolCreateInfo pool{.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                     .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                     .queueFamilyIndex = state.family};
  VkResult result = state.api.vkCreateCommandPool(state.device, &pool, nullptr, &state.commands);
  if (result != VK_SUCCESS) return state.failed(result, "its commands");
  const VkCommandBufferAllocateInfo buffer{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                           .commandPool = state.commands,
                                           .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                           .commandBufferCount = 1};
  result = state.api.vkAllocateCommandBuffers(state.device, &buffer, &state.transfer);
  if (result != VK_SUCCESS) return state.failed(result, "its commands");
  if (!state.info.timeline) return {};
  const VkSemaphoreTypeCreateInfo type{.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                       .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
  const VkSemaphoreCreateInfo semaphore{.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                        .pNext = &type};
  result = state.api.vkCreateSemaphore(state.device, &semaphore, nullptr, &state.timeline);
  if (result != VK_SUCCESS) return state.failed(result, "a semaphore");
  return {};
}

// One layout serves all shaders: kBindings storage buffers, kPushBytes of push constants.
Result<void> createLayouts(Device::State& state, std::span<const std::byte> pipelines) {
  std::vector<VkDescriptorSetLayoutBinding> bindings;
  for (uint32_t i = 0; i < kBindings; ++i) {
    bindings.push_back({.binding = i,
                        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                        .descriptorCount = 1,
                        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT});
  }
  const VkDescriptorSetLayoutCreateInfo set{
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
      .bindingCount = kBindings,
      .pBindings = bindings.data()};
  VkResult result =
      state.api.vkCreateDescriptorSetLayout(state.device, &set, nullptr, &state.setLayout);
  if (result != VK_SUCCESS) return state.failed(result, "a layout");
  const VkPushConstantRange push{.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = kPushBytes};
  const VkPipelineLayoutCreateInfo layout{.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                          .setLayoutCount = 1,
                                          .pSetLayouts = &state.setLayout,
                                          .pushConstantRangeCount = 1,
                                          .pPushConstantRanges = &push};
  result = state.api.vkCreatePipelineLayout(state.device, &layout, nullptr, &state.pipelineLayout);
  if (result != VK_SUCCESS) return state.failed(result, "a layout");
  // The driver itself refuses data of another driver or device.
  const VkPipelineCacheCreateInfo cache{.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                        .initialDataSize = pipelines.size(),
                                        .pInitialData = pipelines.data()};
  result = state.api.vkCreatePipelineCache(state.device, &cache, nullptr, &state.pipelineCache);
  if (result != VK_SUCCESS) return state.failed(result, "a cache");
  return {};
}

}  // namespace

Error Device::State::failed(VkResult result, const std::string& doing) {
  if (result == VK_ERROR_DEVICE_LOST) lost = true;
  return vulkanError(result, info.name, doing);
}

int Device::State::memoryType(uint32_t allowed, VkMemoryPropertyFlags wanted) const {
  for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
    const bool has = (memory.memoryTypes[i].propertyFlags & wanted) == wanted;
    if ((allowed >> i & 1) && has) return int(i);
  }
  return -1;
}

// Memory of the device's own, and the host's as well where that is one memory.
Result<size_t> Device::State::addPiece(uint64_t bytes) {
  Piece piece;
  const VkBufferCreateInfo buffer{.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                  .size = bytes,
                                  .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                           VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                           VK_BUFFER_USAGE_TRANSFER_DST_BIT};
  VkResult result = api.vkCreateBuffer(device, &buffer, nullptr, &piece.buffer);
  if (result != VK_SUCCESS) return failed(result, "a buffer");
  VkMemoryRequirements needs;
  api.vkGetBufferMemoryRequirements(device, piece.buffer, &needs);
  const bool shared = info.kind == DeviceKind::Integrated || info.kind == DeviceKind::Cpu;
  int type =
      shared ? memoryType(needs.memoryTypeBits, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | kHost) : -1;
  const bool mapped = type >= 0;
  if (type < 0) type = memoryType(needs.memoryTypeBits, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
  const VkMemoryAllocateInfo allocation{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .allocationSize = needs.size,
                                        .memoryTypeIndex = uint32_t(std::max(type, 0))};
  result = api.vkAllocateMemory(device, &allocation, nullptr, &piece.memory);
  if (result == VK_SUCCESS) {
    result = api.vkBindBufferMemory(device, piece.buffer, piece.memory, 0);
  }
  void* address = nullptr;
  if (result == VK_SUCCESS && mapped) {
    result = api.vkMapMemory(device, piece.memory, 0, VK_WHOLE_SIZE, 0, &address);
  }
  if (result != VK_SUCCESS) {
    api.vkDestroyBuffer(device, piece.buffer, nullptr);
    api.vkFreeMemory(device, piece.memory, nullptr);
    return failed(result, "buffers of " + std::to_string(bytes) + " bytes");
  }
  piece.mapped = static_cast<std::byte*>(address);
  piece.ranges = FreeRanges(bytes);
  const auto empty = std::find_if(pieces.begin(), pieces.end(),
                                  [](const Piece& each) { return each.buffer == VK_NULL_HANDLE; });
  const size_t place = size_t(empty - pieces.begin());
  if (empty == pieces.end()) pieces.emplace_back();
  pieces[place] = std::move(piece);
  return place;
}

Result<void> Device::State::makeStaging() {
  if (staging.mapped != nullptr) return {};
  const VkBufferCreateInfo buffer{
      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
      .size = kStagingBytes,
      .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};
  VkResult result = api.vkCreateBuffer(device, &buffer, nullptr, &staging.buffer);
  if (result != VK_SUCCESS) return failed(result, "staging");
  VkMemoryRequirements needs;
  api.vkGetBufferMemoryRequirements(device, staging.buffer, &needs);
  int type = memoryType(needs.memoryTypeBits, kHost | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
  if (type < 0) type = memoryType(needs.memoryTypeBits, kHost);
  const VkMemoryAllocateInfo allocation{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .allocationSize = needs.size,
                                        .memoryTypeIndex = uint32_t(std::max(type, 0))};
  result = api.vkAllocateMemory(device, &allocation, nullptr, &staging.memory);
  if (result == VK_SUCCESS) {
    result = api.vkBindBufferMemory(device, staging.buffer, staging.memory, 0);
  }
  void* address = nullptr;
  if (result == VK_SUCCESS) {
    result = api.vkMapMemory(device, staging.memory, 0, VK_WHOLE_SIZE, 0, &address);
  }
  if (result != VK_SUCCESS) return failed(result, "staging");
  staging.mapped = static_cast<std::byte*>(address);
  return {};
}

Result<uint64_t> Device::State::submit(VkCommandBuffer commandBuffer) {
  if (lostAtSubmission != 0 && submitted + 1 >= lostAtSubmission) {
    return failed(VK_ERROR_DEVICE_LOST, "computing");
  }
  const uint64_t number = submitted + 1;
  const VkTimelineSemaphoreSubmitInfo values{
      .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
      .signalSemaphoreValueCount = 1,
      .pSignalSemaphoreValues = &number};
  VkSubmitInfo info_{.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                     .commandBufferCount = 1,
                     .pCommandBuffers = &commandBuffer};
  VkFence fence = VK_NULL_HANDLE;
  if (timeline != VK_NULL_HANDLE) {
    info_.pNext = &values;
    info_.signalSemaphoreCount = 1;
    info_.pSignalSemaphores = &timeline;
  } else {
    const VkFenceCreateInfo create{.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    const VkResult made = api.vkCreateFence(device, &create, nullptr, &fence);
    if (made != VK_SUCCESS) return failed(made, "a fence");
    fences.emplace_back(number, fence);
  }
  const VkResult result = api.vkQueueSubmit(queue, 1, &info_, fence);
  if (result != VK_SUCCESS) return failed(result, "computing");
  submitted = number;
  return number;
}

Result<void> Device::State::waitFor(uint64_t submission) {
  if (submission <= done) return {};
  VkResult result = VK_SUCCESS;
  if (timeline != VK_NULL_HANDLE) {
    const VkSemaphoreWaitInfo wait{.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                   .semaphoreCount = 1,
                                   .pSemaphores = &timeline,
                                   .pValues = &submission};
    result = api.vkWaitSemaphores(device, &wait, kWaitNanoseconds);
  }
  while (result == VK_SUCCESS && !fences.empty() && fences.front().first <= submission) {
    result = api.vkWaitForFences(device, 1, &fences.front().second, VK_TRUE, kWaitNanoseconds);
    if (result != VK_SUCCESS) break;
    api.vkDestroyFence(device, fences.front().second, nullptr);
    fences.erase(fences.begin());
  }
  // What does not end within any reason is as good as lost.
  if (result == VK_TIMEOUT) result = VK_ERROR_DEVICE_LOST;
  if (result != VK_SUCCESS) return failed(result, "computing");
  done = std::max(done, submission);
  return {};
}

Result<VkPipeline> Device::State::pipeline(std::string_view name,
                                           const std::vector<uint32_t>& constants) {
  PipelineKey key(name, constants);
  if (const auto known = pipelines.find(key); known != pipelines.end()) return known->second;
  const Shader* shader = findShader(name);
  CHECK(shader != nullptr);
  const VkShaderModuleCreateInfo code{.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                      .codeSize = shader->words.size_bytes(),
                                      .pCode = shader->words.data()};
  VkShaderModule module = VK_NULL_HANDLE;
  VkResult result = api.vkCreateShaderModule(device, &code, nullptr, &module);
  if (result != VK_SUCCESS) return failed(result, "the shader " + key.first);
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < constants.size(); ++i) {
    entries.push_back({.constantID = i, .offset = 4 * i, .size = 4});
  }
  const VkSpecializationInfo special{.mapEntryCount = uint32_t(entries.size()),
                                     .pMapEntries = entries.data(),
                                     .dataSize = constants.size() * 4,
                                     .pData = constants.data()};
  const VkComputePipelineCreateInfo info_{
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .flags = figures ? VkPipelineCreateFlags(VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR) : 0,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = "main",
                .pSpecializationInfo = &special},
      .layout = pipelineLayout};
  VkPipeline made = VK_NULL_HANDLE;
  result = api.vkCreateComputePipelines(device, pipelineCache, 1, &info_, nullptr, &made);
  api.vkDestroyShaderModule(device, module, nullptr);
  if (result != VK_SUCCESS) return failed(result, "the shader " + key.first);
  pipelines.emplace(std::move(key), made);
  return made;
}

// At most kStagingBytes through the staging buffer.
Result<void> Device::State::transferSlice(const Buffer& buffer, uint64_t offset, uint64_t bytes,
                                          bool toDevice) {
  const Piece& piece = pieces[buffer.m_piece];
  const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                       .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
  VkResult result = api.vkBeginCommandBuffer(transfer, &begin);
  if (result != VK_SUCCESS) return failed(result, "a transfer");
  const VkMemoryBarrier before{
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
      .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
  constexpr VkPipelineStageFlags kWork =
      VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  api.vkCmdPipelineBarrier(transfer, kWork, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0,
                           nullptr, 0, nullptr);
  const uint64_t at = buffer.m_offset + offset;
  const VkBufferCopy region{toDevice ? 0 : at, toDevice ? at : 0, bytes};
  api.vkCmdCopyBuffer(transfer, toDevice ? staging.buffer : piece.buffer,
                      toDevice ? piece.buffer : staging.buffer, 1, &region);
  const VkMemoryBarrier after{.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = toDevice ? VkAccessFlags(VK_ACCESS_SHADER_READ_BIT)
                                                        : VkAccessFlags(VK_ACCESS_HOST_READ_BIT)};
  api.vkCmdPipelineBarrier(
      transfer, VK_PIPELINE_STAGE_TRANSFER_BIT,
      toDevice ? VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT : VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0,
      nullptr, 0, nullptr);
  result = api.vkEndCommandBuffer(transfer);
  if (result != VK_SUCCESS) return failed(result, "a transfer");
  TRY(const uint64_t number, submit(transfer));
  return waitFor(number);
}

void Device::State::destroy() {
  if (device == VK_NULL_HANDLE) return;
  if (submitted > 0) api.vkDeviceWaitIdle(device);
  for (const auto& [number, fence] : fences) api.vkDestroyFence(device, fence, nullptr);
  for (const auto& [key, made] : pipelines) api.vkDestroyPipeline(device, made, nullptr);
  api.vkDestroyPipelineCache(device, pipelineCache, nullptr);
  api.vkDestroyPipelineLayout(device, pipelineLayout, nullptr);
  api.vkDestroyDescriptorSetLayout(device, setLayout, nullptr);
  api.vkDestroySemaphore(device, timeline, nullptr);
  api.vkDestroyCommandPool(device, commands, nullptr);
  api.vkDestroyBuffer(device, staging.buffer, nullptr);
  api.vkFreeMemory(device, staging.memory, nullptr);
  for (const Piece& piece : pieces) {
    api.vkDestroyBuffer(device, piece.buffer, nullptr);
    api.vkFreeMemory(device, piece.memory, nullptr);
  }
  api.vkDestroyDevice(device, nullptr);
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(m_device, other.m_device);
  std::swap(m_piece, other.m_piece);
  std::swap(m_offset, other.m_offset);
  std::swap(m_bytes, other.m_bytes);
  return *this;
}

Buffer::~Buffer() {
  if (m_device == nullptr) return;
  Device::State& state = m_device->state();
  const uint64_t bytes = roundUp(m_bytes, state.alignment);
  Piece& piece = state.pieces[m_piece];
  piece.ranges.give(m_offset, bytes);
  state.used -= bytes;
  if (!piece.ranges.isAllFree() || state.lost) return;
  state.api.vkDestroyBuffer(state.device, piece.buffer, nullptr);
  state.api.vkFreeMemory(state.device, piece.memory, nullptr);
  piece = Piece();
}

Device::Device(std::unique_ptr<State> state) : m_state(std::move(state)) {}
Device::~Device() { m_state->destroy(); }

Result<std::unique_ptr<Device>> Device::open(std::shared_ptr<Instance> instance, size_t index,
                                             const DeviceOptions& options) {
  CHECK(index < instance->devices().size());
  std::unique_ptr<Device> device(new Device(std::make_unique<State>()));
  State& state = device->state();
  state.index = index;
  state.info = instance->devices()[index];
  state.physical = instance->state().physical[index];
  state.instance = std::move(instance);
  state.lostAtSubmission = options.lostAtSubmission;
  state.figures = options.figures;
  state.asGpu = options.asGpu;
  // Drivers without their hardware compile, but have no semaphores.
  if (state.figures) state.info.timeline = false;
  vkGetPhysicalDeviceMemoryProperties(state.physical, &state.memory);
  VkPhysicalDeviceProperties properties;
  vkGetPhysicalDeviceProperties(state.physical, &properties);
  state.alignment = std::max<uint64_t>(256, properties.limits.minStorageBufferOffsetAlignment);
  state.largestPiece = std::min(kPieceBytes, state.info.memoryBytes / 8);
  state.workPerSecond = cautiousSpeed(state.info.kind);
  state.limit = options.memoryLimit != 0 ? options.memoryLimit : state.info.freeBytes;
  TRY(createDevice(state));
  TRY(createCommands(state));
  TRY(createLayouts(state, options.pipelines));
  return device;
}

const DeviceInfo& Device::info() const { return m_state->info; }
bool Device::isLost() const { return m_state->lost; }

// Such devices load lane by lane, but pass values between lanes for nothing.
bool Device::spreads() const {
  const DeviceInfo& info_ = m_state->info;
  return info_.kind == DeviceKind::Cpu && info_.subgroupSize == 8 && info_.subgroupBallot &&
         !m_state->asGpu;
}
uint64_t Device::usedBytes() const { return m_state->used; }
uint64_t Device::limitBytes() const { return m_state->limit; }
uint64_t Device::submissions() const { return m_state->submitted; }
double Device::submissionWork() const { return m_state->workPerSecond * kSubmissionSeconds; }

Result<Buffer> Device::allocate(uint64_t bytes) {
  State& state = *m_state;
  const uint64_t rounded = roundUp(std::max<uint64_t>(bytes, 4), state.alignment);
  if (bytes > state.info.storageRange || state.used + rounded > state.limit) {
    return Error{ErrorCode::OutOfMemory, state.info.name + " has no room for another " +
                                             std::to_string(bytes) + " bytes; " +
                                             std::to_string(state.used) + " of " +
                                             std::to_string(state.limit) + " are taken."};
  }
  std::optional<uint64_t> offset;
  size_t place = 0;
  for (; place < state.pieces.size(); ++place) {
    offset = state.pieces[place].ranges.take(rounded);
    if (offset) break;
  }
  if (!offset) {
    auto added = state.addPiece(std::max(rounded, roundUp(state.largestPiece, state.alignment)));
    if (!added && !state.lost) added = state.addPiece(rounded);
    TRY(place, std::move(added));
    offset = state.pieces[place].ranges.take(rounded);
  }
  state.used += rounded;
  Buffer buffer;
  buffer.m_device = this;
  buffer.m_piece = place;
  buffer.m_offset = *offset;
  buffer.m_bytes = std::max<uint64_t>(bytes, 4);
  return buffer;
}

Result<void> Device::write(const Buffer& to, uint64_t offset, const void* from, uint64_t bytes) {
  CHECK(offset + bytes <= to.m_bytes);
  State& state = *m_state;
  if (state.lost) return state.failed(VK_ERROR_DEVICE_LOST, "a transfer");
  TRY(state.waitFor(state.submitted));
  if (std::byte* mapped = state.pieces[to.m_piece].mapped) {
    std::memcpy(mapped + to.m_offset + offset, from, bytes);
    return {};
  }
  TRY(state.makeStaging());
  const auto* source = static_cast<const std::byte*>(from);
  for (uint64_t first = 0; first < bytes; first += kStagingBytes) {
    const uint64_t count = std::min(kStagingBytes, bytes - first);
    std::memcpy(state.staging.mapped, source + first, count);
    TRY(state.transferSlice(to, offset + first, count, true));
  }
  return {};
}

Result<void> Device::read(const Buffer& from, uint64_t offset, void* to, uint64_t bytes) {
  CHECK(offset + bytes <= from.m_bytes);
  State& state = *m_state;
  if (state.lost) return state.failed(VK_ERROR_DEVICE_LOST, "a transfer");
  TRY(state.waitFor(state.submitted));
  if (const std::byte* mapped = state.pieces[from.m_piece].mapped) {
    std::memcpy(to, mapped + from.m_offset + offset, bytes);
    return {};
  }
  TRY(state.makeStaging());
  auto* target = static_cast<std::byte*>(to);
  for (uint64_t first = 0; first < bytes; first += kStagingBytes) {
    const uint64_t count = std::min(kStagingBytes, bytes - first);
    TRY(state.transferSlice(from, offset + first, count, false));
    std::memcpy(target + first, state.staging.mapped, count);
  }
  return {};
}

Result<std::vector<PipelineFigure>> Device::pipelineFigures(
    std::string_view shader, const std::vector<uint32_t>& constants) {
  State& state = *m_state;
  CHECK(state.figures);
  TRY(VkPipeline pipeline, state.pipeline(shader, constants));
  const VkPipelineExecutableInfoKHR info_{.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                          .pipeline = pipeline};
  uint32_t count = 0;
  state.api.vkGetPipelineExecutableStatisticsKHR(state.device, &info_, &count, nullptr);
  std::vector<VkPipelineExecutableStatisticKHR> statistics(
      count, {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR});
  state.api.vkGetPipelineExecutableStatisticsKHR(state.device, &info_, &count, statistics.data());
  std::vector<PipelineFigure> figures;
  for (const VkPipelineExecutableStatisticKHR& each : statistics) {
    switch (each.format) {
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        figures.push_back({each.name, double(each.value.u64)});
        break;
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        figures.push_back({each.name, double(each.value.i64)});
        break;
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
        figures.push_back({each.name, each.value.f64});
        break;
      default:
        figures.push_back({each.name, each.value.b32 ? 1.0 : 0.0});
    }
  }
  return figures;
}

std::vector<std::byte> Device::pipelineData() const {
  const State& state = *m_state;
  size_t bytes = 0;
  state.api.vkGetPipelineCacheData(state.device, state.pipelineCache, &bytes, nullptr);
  std::vector<std::byte> data(bytes);
  state.api.vkGetPipelineCacheData(state.device, state.pipelineCache, &bytes, data.data());
  data.resize(bytes);
  return data;
}

}  // namespace bitloom::vulkan

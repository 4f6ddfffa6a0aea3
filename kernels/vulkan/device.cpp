// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/vulkan/device.h"

#include <algorithm>
#include <cstring>

#include "kernels/vulkan/device_state.h"
#include "kernels/vulkan/recording.h"
#include "kernels/vulkan/shaders.h"

namespace bitloom::vulkan {
namespace {

constexpr double kSubmissionSeconds = 0.05;
// Far beyond any submission; software devices compile a shader when it first runs.
constexpr uint64_t kWaitNanoseconds = 120'000'000'000;

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
  const auto families =
      listOf<VkQueueFamilyProperties>(vkGetPhysicalDeviceQueueFamilyProperties, state.physical);
  if (families[state.family].timestampValidBits == 0) state.tickSeconds = 0;
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
  for (Staging& half : state.staging) {
    result = state.api.vkAllocateCommandBuffers(state.device, &buffer, &half.commands);
    if (result != VK_SUCCESS) return state.failed(result, "its commands");
  }
  if (!state.info.timeline) return {};
  const VkSemaphoreTypeCreateInfo type{.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                       .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
  const VkSemaphoreCreateInfo semaphore{.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                        .pNext = &type};
  result = state.api.vkCreateSemaphore(state.device, &semaphore, nullptr, &state.timeline);
  if (result != VK_SUCCESS) return state.failed(result, "a semaphore");
  return {};
}

// Whether a driver made this data for this very device and itself. Drivers check as well, some not
// well.
bool isPipelineData(std::span<const std::byte> data, const VkPhysicalDeviceProperties& device) {
  VkPipelineCacheHeaderVersionOne header;
  if (data.size() < sizeof(header)) return false;
  std::memcpy(&header, data.data(), sizeof(header));
  return header.headerSize >= sizeof(header) && header.headerSize <= data.size() &&
         header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
         header.vendorID == device.vendorID && header.deviceID == device.deviceID &&
         std::equal(header.pipelineCacheUUID, header.pipelineCacheUUID + VK_UUID_SIZE,
                    device.pipelineCacheUUID);
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

Result<uint64_t> Device::State::submit(VkCommandBuffer commandBuffer) {
  if (lostAtSubmission != 0 && submitted + 1 >= lostAtSubmission) {
    // A device that is really lost is done with what it held; this one may still be at it.
    api.vkDeviceWaitIdle(device);
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

void Device::State::destroy() {
  if (device == VK_NULL_HANDLE) return;
  if (submitted > 0) api.vkDeviceWaitIdle(device);
  for (Staging& half : staging) half.buffer = {};
  for (const auto& [number, fence] : fences) api.vkDestroyFence(device, fence, nullptr);
  for (const auto& [key, made] : pipelines) api.vkDestroyPipeline(device, made, nullptr);
  api.vkDestroyPipelineCache(device, pipelineCache, nullptr);
  api.vkDestroyPipelineLayout(device, pipelineLayout, nullptr);
  api.vkDestroyDescriptorSetLayout(device, setLayout, nullptr);
  api.vkDestroySemaphore(device, timeline, nullptr);
  api.vkDestroyCommandPool(device, commands, nullptr);
  for (const Piece& piece : pieces) {
    api.vkDestroyBuffer(device, piece.buffer, nullptr);
    api.vkFreeMemory(device, piece.memory, nullptr);
  }
  api.vkDestroyDevice(device, nullptr);
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
  state.tickSeconds = double(properties.limits.timestampPeriod) * 1e-9;
  state.alignment = std::max<uint64_t>(256, properties.limits.minStorageBufferOffsetAlignment);
  state.workPerSecond = cautiousSpeed(state.info.kind);
  state.limit = options.memoryLimit != 0 ? options.memoryLimit : state.info.freeBytes;
  TRY(createDevice(state));
  TRY(createCommands(state));
  const bool known = isPipelineData(options.pipelines, properties);
  TRY(createLayouts(state, known ? options.pipelines : std::span<const std::byte>()));
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

bool Device::encodesFaster() const {
  return m_state->info.kind != DeviceKind::Cpu || m_state->asGpu;
}

Result<void> Device::wait() { return m_state->waitFor(m_state->submitted); }

uint64_t Device::submissions() const { return m_state->submitted; }
double Device::submissionWork() const { return m_state->workPerSecond * kSubmissionSeconds; }

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

size_t Device::pipelinesMade() const { return m_state->pipelines.size(); }

Result<void> Device::timeKernels() {
  if (m_state->tickSeconds == 0) {
    return Error{ErrorCode::Unsupported, m_state->info.name + " has no clock for its kernels."};
  }
  m_state->timed = true;
  return {};
}

std::vector<KernelTime> Device::kernelTimes() const {
  std::vector<KernelTime> times;
  for (const auto& [shader, time] : m_state->times) times.push_back(time);
  std::sort(times.begin(), times.end(),
            [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  return times;
}

}  // namespace bitloom::vulkan

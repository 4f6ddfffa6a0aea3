// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/vulkan/instance.h"

#include <algorithm>
#include <cstring>

#include "kernels/vulkan/vulkan_state.h"

namespace bitloom::vulkan {
namespace {

constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

// Volk keeps its pointers in globals: they are loaded once for the process.
VkResult loadOnce() {
  static const VkResult result = volkInitialize();
  return result;
}

VKAPI_ATTR VkBool32 VKAPI_CALL keepMessage(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                           VkDebugUtilsMessageTypeFlagsEXT,
                                           const VkDebugUtilsMessengerCallbackDataEXT* data,
                                           void* user) {
  auto& state = *static_cast<Instance::State*>(user);
  const std::lock_guard lock(state.mutex);
  state.messages.emplace_back(data->pMessage);
  return VK_FALSE;
}

VkDebugUtilsMessengerCreateInfoEXT messengerInfo(Instance::State& state) {
  return {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
          .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                             VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
          .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
          .pfnUserCallback = keepMessage,
          .pUserData = &state};
}

bool hasLayer(const char* name) {
  const auto layers = listOf<VkLayerProperties>(vkEnumerateInstanceLayerProperties);
  return std::any_of(layers.begin(), layers.end(), [&](const VkLayerProperties& layer) {
    return std::strcmp(layer.layerName, name) == 0;
  });
}

Result<void> createInstance(const InstanceOptions& options, Instance::State& state) {
  if (options.validation && !hasLayer(kValidationLayer)) {
    return Error{ErrorCode::Unsupported, "The Vulkan validation layer is not installed."};
  }
  const VkApplicationInfo application{.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                      .pApplicationName = "Bitloom",
                                      .apiVersion = VK_API_VERSION_1_3};
  const VkValidationFeatureEnableEXT enabled[] = {
      VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
  const VkDebugUtilsMessengerCreateInfoEXT messenger = messengerInfo(state);
  const VkValidationFeaturesEXT features{.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                         .pNext = &messenger,
                                         .enabledValidationFeatureCount = 1,
                                         .pEnabledValidationFeatures = enabled};
  const char* const extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  VkInstanceCreateInfo info{.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                            .pApplicationInfo = &application};
  if (options.validation) {
    info.pNext = &features;
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &kValidationLayer;
    info.enabledExtensionCount = 1;
    info.ppEnabledExtensionNames = &extension;
  }
  VkResult result = vkCreateInstance(&info, nullptr, &state.instance);
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
    return Error{ErrorCode::Unsupported, "Vulkan is off: no driver is installed."};
  }
  if (result != VK_SUCCESS) return vulkanError(result, "Vulkan", "starting");
  volkLoadInstanceOnly(state.instance);
  if (!options.validation) return {};
  const auto create = PFN_vkCreateDebugUtilsMessengerEXT(
      vkGetInstanceProcAddr(state.instance, "vkCreateDebugUtilsMessengerEXT"));
  result = create(state.instance, &messenger, nullptr, &state.messenger);
  if (result != VK_SUCCESS) return vulkanError(result, "Vulkan", "listening to validation");
  return {};
}

DeviceKind kindOf(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return DeviceKind::Integrated;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return DeviceKind::Discrete;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return DeviceKind::Virtual;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return DeviceKind::Cpu;
    default:
      return DeviceKind::Other;
  }
}

void readMemory(VkPhysicalDevice device, DeviceInfo& info) {
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  VkPhysicalDeviceMemoryProperties2 memory{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
      .pNext = info.memoryBudget ? &budget : nullptr};
  vkGetPhysicalDeviceMemoryProperties2(device, &memory);
  const VkPhysicalDeviceMemoryProperties& heaps = memory.memoryProperties;
  for (uint32_t i = 0; i < heaps.memoryHeapCount; ++i) {
    const VkMemoryHeap& heap = heaps.memoryHeaps[i];
    if (!(heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || heap.size < info.memoryBytes) continue;
    info.memoryBytes = info.freeBytes = heap.size;
    if (!info.memoryBudget) continue;
    const uint64_t used = std::min(budget.heapUsage[i], budget.heapBudget[i]);
    info.freeBytes = budget.heapBudget[i] - used;
  }
}

void readFeatures(VkPhysicalDevice device, DeviceInfo& info) {
  const bool newer = info.apiVersion >= VK_API_VERSION_1_3;
  VkPhysicalDeviceVulkan13Features v13{.sType =
                                           VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
  VkPhysicalDeviceVulkan12Features v12{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
      .pNext = newer ? &v13 : nullptr};
  VkPhysicalDevice16BitStorageFeatures halves{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
      .pNext = info.apiVersion >= VK_API_VERSION_1_2 ? &v12 : nullptr};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &halves};
  vkGetPhysicalDeviceFeatures2(device, &features);
  info.storage16 = halves.storageBuffer16BitAccess;
  info.timeline = v12.timelineSemaphore;
  info.float16 = v12.shaderFloat16;
  info.int8 = v12.shaderInt8;
  info.storage8 = v12.storageBuffer8BitAccess;
  info.integerDot = v13.shaderIntegerDotProduct;
  info.subgroupControl = v13.subgroupSizeControl && v13.computeFullSubgroups;
}

std::string hexOf(std::span<const uint8_t, VK_UUID_SIZE> bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

DeviceInfo readDevice(VkPhysicalDevice device) {
  VkPhysicalDeviceProperties basic;
  vkGetPhysicalDeviceProperties(device, &basic);
  DeviceInfo info;
  info.apiVersion = basic.apiVersion;
  if (info.apiVersion < VK_API_VERSION_1_1) return info;
  VkPhysicalDeviceDriverProperties driver{.sType =
                                              VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
  VkPhysicalDeviceSubgroupProperties subgroup{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
      .pNext = info.apiVersion >= VK_API_VERSION_1_2 ? &driver : nullptr};
  VkPhysicalDeviceIDProperties id{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                                  .pNext = &subgroup};
  VkPhysicalDeviceProperties2 properties{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                         .pNext = &id};
  vkGetPhysicalDeviceProperties2(device, &properties);
  const VkPhysicalDeviceLimits& limits = properties.properties.limits;
  info.name = properties.properties.deviceName;
  info.driver = std::string(driver.driverName) + ": " + driver.driverInfo;
  info.kind = kindOf(properties.properties.deviceType);
  info.uuid = hexOf(id.deviceUUID);
  info.pipelineUuid = hexOf(basic.pipelineCacheUUID);
  info.storageRange = limits.maxStorageBufferRange;
  info.sharedBytes = limits.maxComputeSharedMemorySize;
  info.subgroupSize = subgroup.subgroupSize;
  info.subgroupBallot = (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                        (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT);
  info.memoryBudget = hasExtension(
      listOf<VkExtensionProperties>(vkEnumerateDeviceExtensionProperties, device, nullptr),
      VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  readFeatures(device, info);
  readMemory(device, info);
  return info;
}

bool canCompute(VkPhysicalDevice device) {
  const auto families =
      listOf<VkQueueFamilyProperties>(vkGetPhysicalDeviceQueueFamilyProperties, device);
  return std::any_of(families.begin(), families.end(), [](const VkQueueFamilyProperties& family) {
    return family.queueFlags & VK_QUEUE_COMPUTE_BIT;
  });
}

}  // namespace

const char* kindName(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::Integrated:
      return "integrated";
    case DeviceKind::Discrete:
      return "discrete";
    case DeviceKind::Virtual:
      return "virtual";
    case DeviceKind::Cpu:
      return "software";
    case DeviceKind::Other:
      break;
  }
  return "other";
}

std::string versionText(uint32_t apiVersion) {
  return std::to_string(VK_API_VERSION_MAJOR(apiVersion)) + "." +
         std::to_string(VK_API_VERSION_MINOR(apiVersion)) + "." +
         std::to_string(VK_API_VERSION_PATCH(apiVersion));
}

bool hasExtension(const std::vector<VkExtensionProperties>& extensions, const char* name) {
  return std::any_of(extensions.begin(), extensions.end(), [&](const auto& extension) {
    return std::strcmp(extension.extensionName, name) == 0;
  });
}

Error vulkanError(VkResult result, const std::string& device, const std::string& doing) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
      return {ErrorCode::OutOfMemory, device + " has not enough memory for " + doing + "."};
    case VK_ERROR_DEVICE_LOST:
      return {ErrorCode::Device, device + " was lost while " + doing + "."};
    default:
      return {ErrorCode::Device, device + " answered with Vulkan error " +
                                     std::to_string(int(result)) + " while " + doing + "."};
  }
}

Instance::Instance(std::unique_ptr<State> state) : m_state(std::move(state)) {}

Instance::~Instance() {
  if (m_state->messenger != VK_NULL_HANDLE) {
    const auto destroy = PFN_vkDestroyDebugUtilsMessengerEXT(
        vkGetInstanceProcAddr(m_state->instance, "vkDestroyDebugUtilsMessengerEXT"));
    destroy(m_state->instance, m_state->messenger, nullptr);
  }
  if (m_state->instance != VK_NULL_HANDLE) vkDestroyInstance(m_state->instance, nullptr);
}

Result<std::shared_ptr<Instance>> Instance::create(const InstanceOptions& options) {
  if (loadOnce() != VK_SUCCESS) {
    return Error{ErrorCode::Unsupported, "Vulkan is off: its loader (libvulkan.so.1) is not here."};
  }
  if (volkGetInstanceVersion() < VK_API_VERSION_1_1) {
    return Error{ErrorCode::Unsupported, "Vulkan is off: its loader is older than Vulkan 1.1."};
  }
  std::shared_ptr<Instance> instance(new Instance(std::make_unique<State>()));
  State& state = *instance->m_state;
  TRY(createInstance(options, state));
  for (VkPhysicalDevice device :
       listOf<VkPhysicalDevice>(vkEnumeratePhysicalDevices, state.instance)) {
    DeviceInfo info = readDevice(device);
    if (info.apiVersion < VK_API_VERSION_1_1 || !canCompute(device)) continue;
    state.physical.push_back(device);
    state.devices.push_back(std::move(info));
  }
  if (state.devices.empty()) {
    return Error{ErrorCode::Unsupported, "Vulkan is off: no driver offers a device that computes."};
  }
  return instance;
}

std::span<const DeviceInfo> Instance::devices() const { return m_state->devices; }

std::vector<std::string> Instance::messages() const {
  const std::lock_guard lock(m_state->mutex);
  return m_state->messages;
}

}  // namespace bitloom::vulkan

// SPDX-License-Identifier: GPL-3.0-or-later
// Vulkan's own types, for the sources of kernels/vulkan only.
#pragma once
#define VK_NO_PROTOTYPES
#include <volk.h>

#include <mutex>
#include <string>
#include <vector>

#include "kernels/vulkan/instance.h"

namespace bitloom::vulkan {

struct Instance::State {
  VkInstance instance = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger = VK_NULL_HANDLE;
  std::vector<VkPhysicalDevice> physical;
  std::vector<DeviceInfo> devices;
  std::mutex mutex;  // guards messages
  std::vector<std::string> messages;
};

// "llvmpipe: out of device memory while …".
Error vulkanError(VkResult result, const std::string& device, const std::string& doing);

// Extensions of a device by name.
bool hasExtension(const std::vector<VkExtensionProperties>& extensions, const char* name);

template <typename Item, typename Function, typename... Arguments>
std::vector<Item> listOf(Function function, Arguments... arguments) {
  uint32_t count = 0;
  function(arguments..., &count, nullptr);
  std::vector<Item> items(count);
  function(arguments..., &count, items.data());
  items.resize(count);
  return items;
}

}  // namespace bitloom::vulkan

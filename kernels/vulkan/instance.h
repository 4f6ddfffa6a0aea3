// SPDX-License-Identifier: GPL-3.0-or-later
// The Vulkan loader, found at run time, and the devices that it knows. Without a loader or without
// a device that computes, `create` says so in one sentence and the program goes on without Vulkan.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/result.h"

namespace bitloom::vulkan {

enum class DeviceKind { Other, Integrated, Discrete, Virtual, Cpu };

// What a device can do. Nothing beyond Vulkan 1.1 is required.
struct DeviceInfo {
  std::string name;
  std::string uuid;          // 32 hex digits
  std::string driver;        // "llvmpipe: Mesa 22.3.6 (LLVM 15.0.6)"
  std::string pipelineUuid;  // 32 hex digits, others for each driver that compiles otherwise
  DeviceKind kind = DeviceKind::Other;
  uint32_t apiVersion = 0;    // as VK_MAKE_API_VERSION packs it
  uint64_t memoryBytes = 0;   // of the largest heap that is the device's own
  uint64_t freeBytes = 0;     // of it, for this process; memoryBytes where the driver is silent
  uint64_t storageRange = 0;  // bytes that one binding of a shader sees
  uint32_t sharedBytes = 0;   // of a workgroup
  uint32_t subgroupSize = 0;
  bool subgroupBallot = false;
  bool timeline = false;  // semaphores
  bool memoryBudget = false;
  bool float16 = false;  // arithmetic
  bool int8 = false;
  bool storage16 = false;
  bool storage8 = false;
  bool integerDot = false;
  bool subgroupControl = false;
};

const char* kindName(DeviceKind kind);
std::string versionText(uint32_t apiVersion);  // "1.3.230"

struct InstanceOptions {
  // The Khronos validation layer, with checks of synchronization; an error when it is not there.
  bool validation = false;
};

class Instance {
 public:
  static Result<std::shared_ptr<Instance>> create(const InstanceOptions& options = {});
  ~Instance();

  // Those that can compute, as the loader lists them.
  std::span<const DeviceInfo> devices() const;

  // What the validation layer had to say so far.
  std::vector<std::string> messages() const;

  struct State;
  State& state() const { return *m_state; }

 private:
  explicit Instance(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace bitloom::vulkan

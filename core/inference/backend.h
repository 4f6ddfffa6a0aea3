// SPDX-License-Identifier: GPL-3.0-or-later
// Devices beside the CPU that compute runs of a model. Several variants share one: a tensor is
// uploaded once and stays until its room is needed. Any thread; runs on one device wait for each
// other.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/inference/device_speed.h"
#include "core/io/user_folder.h"
#include "kernels/base/result.h"
#include "kernels/vulkan/instance.h"

namespace bitloom {

using DeviceInfo = vulkan::DeviceInfo;

// All that compute, software ones included, as the driver lists them. An error says why there are
// none.
Result<std::vector<DeviceInfo>> listDevices();

struct BackendOptions {
  // Where compiled pipelines are kept; empty: nowhere.
  std::filesystem::path cacheFolder = userCacheFolder();
  uint64_t memoryLimit = 0;       // bytes; 0: what is free on the device
  bool validation = false;        // under the validation layer
  uint64_t lostAtSubmission = 0;  // for tests: the device is lost there; 0: never
  bool asGpu = false;             // for tests: a software device takes the products of GPUs
};

class Backend {
 public:
  // A device by its place in listDevices(), by its UUID, or by a part of its name; empty: hardware
  // before software, and of several the one that is measured to be fastest.
  static Result<std::shared_ptr<Backend>> open(const std::string& device,
                                               const BackendOptions& options = {});
  ~Backend();

  const DeviceInfo& device() const;
  uint64_t usedBytes() const;
  uint64_t limitBytes() const;
  std::vector<std::string> validationMessages() const;

  // What runs could not be computed on it, and why; each sentence once.
  std::vector<std::string> notes() const;
  void addNote(const std::string& note);

  // What inference can expect of it; waits for runs under way.
  Result<DeviceSpeed> measureSpeed();
  // From now on runs that are recorded have their kernels timed (vulkan::Device::timeKernels).
  Result<void> timeKernels();
  std::vector<vulkan::KernelTime> kernelTimes() const;  // the longest first

  struct State;
  State& state() const { return *m_state; }

 private:
  explicit Backend(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

// Open devices, shared by whoever computes on them. Any thread.
class Backends {
 public:
  // Opened on first use, and anew after it was lost.
  Result<std::shared_ptr<Backend>> open(const std::string& uuid);

 private:
  std::mutex m_mutex;
  std::map<std::string, std::shared_ptr<Backend>> m_open;  // by UUID
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// What an open backend holds, for backend.cpp and device_forward.cpp.
#pragma once
#include <map>
#include <mutex>
#include <optional>

#include "core/inference/backend.h"
#include "core/variant.h"
#include "kernels/vulkan/ops.h"

namespace bitloom {

// A tensor on the device: rows of weights, or plain floats (norms, biases).
struct DeviceTensor {
  vulkan::Weights weights;
  vulkan::Buffer floats;
};

struct Backend::State {
  ~State();
  std::shared_ptr<vulkan::Instance> instance;
  std::unique_ptr<vulkan::Device> device;
  // Held by whoever uses the device, its tensors or its buffers; what one of them holds may let go
  // of others.
  std::recursive_mutex mutex;
  std::map<std::string, std::shared_ptr<const DeviceTensor>> tensors;  // by signature

  std::filesystem::path pipelines;  // the file; empty: none
  std::vector<std::string> notes;

  // Of a variant, as rows or as floats; uploaded on first use.
  Result<std::shared_ptr<const DeviceTensor>> rows(const Variant& variant, size_t tensor,
                                                   JobContext& job);
  Result<std::shared_ptr<const DeviceTensor>> floats(const Variant& variant, size_t tensor,
                                                     JobContext& job);
  Result<vulkan::Weights> make(const Variant& variant, size_t tensor, JobContext& job);
  // A changed tensor encoded here from its source here; none where that would not give the very
  // bytes that the host's encoder gives, or gives them sooner.
  Result<std::optional<vulkan::Weights>> encode(const Variant& variant, size_t tensor,
                                                JobContext& job);
  // Tensors that nobody uses leave; whether there were any.
  bool makeRoom();
};

// Bytes that a tensor of the variant takes on a device.
uint64_t deviceBytes(const Variant& variant, size_t tensor);

}  // namespace bitloom

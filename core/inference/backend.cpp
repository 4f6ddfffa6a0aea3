// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/backend.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "core/base/strings.h"
#include "core/inference/backend_state.h"
#include "core/io/output_file.h"

namespace bitloom {
namespace {

// Higher is tried first.
int rank(const DeviceInfo& info) {
  using vulkan::DeviceKind;
  constexpr std::array kOrder = {DeviceKind::Cpu, DeviceKind::Other, DeviceKind::Virtual,
                                 DeviceKind::Integrated, DeviceKind::Discrete};
  return int(std::find(kOrder.begin(), kOrder.end(), info.kind) - kOrder.begin());
}

Result<size_t> chooseDevice(std::span<const DeviceInfo> devices, const std::string& wanted) {
  if (wanted.empty()) {
    const auto best = std::max_element(
        devices.begin(), devices.end(),
        [](const DeviceInfo& a, const DeviceInfo& b) { return rank(a) < rank(b); });
    return size_t(best - devices.begin());
  }
  const bool isNumber = wanted.find_first_not_of("0123456789") == std::string::npos;
  if (isNumber && wanted.size() < 4 && std::stoul(wanted) < devices.size()) {
    return size_t(std::stoul(wanted));
  }
  std::string known;
  for (size_t i = 0; i < devices.size(); ++i) {
    const std::string name = toLower(devices[i].name);
    if (devices[i].uuid == wanted || name.find(toLower(wanted)) != std::string::npos) return i;
    known += strCat(i == 0 ? "" : ", ", i, " ", devices[i].name);
  }
  return makeError(ErrorCode::NotFound, "There is no Vulkan device \"", wanted, "\"; there are ",
                   known, ".");
}

}  // namespace

Result<std::vector<DeviceInfo>> listDevices() {
  TRY(const auto instance, vulkan::Instance::create());
  return std::vector<DeviceInfo>(instance->devices().begin(), instance->devices().end());
}

Backend::Backend(std::unique_ptr<State> state) : m_state(std::move(state)) {}
Backend::~Backend() = default;

Result<std::shared_ptr<Backend>> Backend::open(const std::string& device,
                                               const BackendOptions& options) {
  auto state = std::make_unique<State>();
  TRY(state->instance, vulkan::Instance::create({.validation = options.validation}));
  TRY(const size_t index, chooseDevice(state->instance->devices(), device));
  TRY(state->device, vulkan::Device::open(state->instance, index,
                                          {.memoryLimit = options.memoryLimit,
                                           .lostAtSubmission = options.lostAtSubmission,
                                           .asGpu = options.asGpu}));
  return std::shared_ptr<Backend>(new Backend(std::move(state)));
}

const DeviceInfo& Backend::device() const { return m_state->device->info(); }

uint64_t Backend::usedBytes() const {
  const std::lock_guard lock(m_state->mutex);
  return m_state->device->usedBytes();
}

uint64_t Backend::limitBytes() const { return m_state->device->limitBytes(); }

std::vector<std::string> Backend::validationMessages() const {
  return m_state->instance->messages();
}

std::vector<std::string> Backend::notes() const {
  const std::lock_guard lock(m_state->mutex);
  return m_state->notes;
}

void Backend::addNote(const std::string& note) {
  const std::lock_guard lock(m_state->mutex);
  std::vector<std::string>& notes = m_state->notes;
  if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
}

Result<std::shared_ptr<Backend>> Backends::open(const std::string& uuid) {
  const std::lock_guard lock(m_mutex);
  std::shared_ptr<Backend>& backend = m_open[uuid];
  if (backend == nullptr || backend->state().device->isLost()) {
    TRY(backend, Backend::open(uuid));
  }
  return backend;
}

uint64_t deviceBytes(const Variant& variant, size_t tensor) {
  const Tensor& source = variant.model().tensors()[tensor];
  const Codec* codec = variant.codecOf(tensor);
  const bool known = codec != nullptr && vulkan::hasShaders(codec->name);
  const uint64_t rowBytes =
      known ? codec->rowBytes(source.rowLength()) : source.rowLength() * sizeof(float);
  return vulkan::uploadedBytes(source.rows(), source.rowLength(), rowBytes);
}

bool Backend::State::makeRoom() {
  return std::erase_if(tensors, [](const auto& entry) { return entry.second.use_count() == 1; }) >
         0;
}

Result<std::shared_ptr<const DeviceTensor>> Backend::State::rows(const Variant& variant,
                                                                 size_t tensor, JobContext& job) {
  const std::string key = variant.signatureOf(tensor);
  if (const auto known = tensors.find(key); known != tensors.end()) return known->second;
  const Tensor& source = variant.model().tensors()[tensor];
  const Codec* codec = variant.codecOf(tensor);
  Encoded encoded;
  DecodedWeights decoded;
  std::span<const std::byte> bytes = source.bytes;
  if (codec == nullptr || !vulkan::hasShaders(codec->name)) {
    TRY(decoded, variant.weights(tensor, job));
    bytes = std::as_bytes(std::span(*decoded));
    codec = findCodec("f32");
  } else if (variant.isChanged(tensor)) {
    TRY(encoded, variant.encode(tensor, job));
    bytes = encoded.bytes;
  }
  const auto upload = [&] {
    return vulkan::upload(*device, codec->name, reinterpret_cast<const uint8_t*>(bytes.data()),
                          source.rows(), source.rowLength(), codec->rowBytes(source.rowLength()));
  };
  auto weights = upload();
  if (!weights && weights.error().code == ErrorCode::OutOfMemory && makeRoom()) weights = upload();
  if (!weights) return std::move(weights.error());
  auto made = std::make_shared<DeviceTensor>();
  made->weights = std::move(*weights);
  return tensors[key] = std::move(made);
}

Result<std::shared_ptr<const DeviceTensor>> Backend::State::floats(const Variant& variant,
                                                                   size_t tensor, JobContext& job) {
  const std::string key = strCat(variant.signatureOf(tensor), "|floats");
  if (const auto known = tensors.find(key); known != tensors.end()) return known->second;
  TRY(const DecodedWeights values, variant.weights(tensor, job));
  auto made = std::make_shared<DeviceTensor>();
  TRY(made->floats, device->allocate(values->size() * sizeof(float)));
  TRY(device->write(made->floats, 0, values->data(), values->size() * sizeof(float)));
  return tensors[key] = std::move(made);
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/backend.h"

#include <algorithm>
#include <numeric>

#include "core/base/strings.h"
#include "core/inference/backend_state.h"
#include "core/inference/pipeline_file.h"
#include "core/method.h"
#include "kernels/vulkan/rows.h"

namespace bitloom {
namespace {

constexpr uint64_t kStepBytes = uint64_t{64} << 20;  // of floats that are encoded at once
constexpr uint64_t kMostRows = 65504;                // of one dispatch, whole panels

// Hardware, or where there is none what computes on the CPU.
std::vector<size_t> promising(std::span<const DeviceInfo> devices) {
  std::vector<size_t> hardware, all;
  for (size_t i = 0; i < devices.size(); ++i) {
    all.push_back(i);
    if (devices[i].kind != vulkan::DeviceKind::Cpu) hardware.push_back(i);
  }
  return hardware.empty() ? all : hardware;
}

// By the speed at which they read weights, which is that of answers. One that cannot be measured
// is not taken unless it is the only one.
Result<size_t> fastestDevice(const std::shared_ptr<vulkan::Instance>& instance) {
  const std::vector<size_t> places = promising(instance->devices());
  size_t best = places.front();
  double most = 0;
  for (const size_t place : places) {
    if (places.size() == 1) break;
    TRY(const auto device, vulkan::Device::open(instance, place));
    const auto speed = measureSpeed(*device);
    if (!speed || speed->readBytes <= most) continue;
    most = speed->readBytes;
    best = place;
  }
  return best;
}

Result<size_t> chooseDevice(std::span<const DeviceInfo> devices, const std::string& wanted) {
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

Backend::State::~State() {
  if (!device || pipelines.empty() || device->isLost() || device->pipelinesMade() == 0) return;
  const std::vector<std::byte> compiled = device->pipelineData();
  if (compiled != readPipelines(pipelines)) writePipelines(pipelines, compiled);
}

Backend::Backend(std::unique_ptr<State> state) : m_state(std::move(state)) {}
Backend::~Backend() = default;

Result<std::shared_ptr<Backend>> Backend::open(const std::string& device,
                                               const BackendOptions& options) {
  auto state = std::make_unique<State>();
  TRY(state->instance, vulkan::Instance::create({.validation = options.validation}));
  TRY(const size_t index, device.empty() ? fastestDevice(state->instance)
                                         : chooseDevice(state->instance->devices(), device));
  std::vector<std::byte> compiled;
  if (!options.cacheFolder.empty()) {
    state->pipelines = pipelineFile(options.cacheFolder, state->instance->devices()[index]);
    compiled = readPipelines(state->pipelines);
  }
  TRY(state->device, vulkan::Device::open(state->instance, index,
                                          {.memoryLimit = options.memoryLimit,
                                           .pipelines = compiled,
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

Result<DeviceSpeed> Backend::measureSpeed() {
  const std::lock_guard lock(m_state->mutex);
  return bitloom::measureSpeed(*m_state->device);
}

Result<void> Backend::timeKernels() {
  const std::lock_guard lock(m_state->mutex);
  return m_state->device->timeKernels();
}

std::vector<vulkan::KernelTime> Backend::kernelTimes() const {
  const std::lock_guard lock(m_state->mutex);
  return m_state->device->kernelTimes();
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

namespace {

// Of which a device's decoder gives the host's floats bit by bit.
bool isFloats(const Codec* codec) {
  return codec != nullptr &&
         (codec->name == "f32" || codec->name == "f16" || codec->name == "bf16");
}

// The rows that each step decodes and encodes: what one submission holds, whole panels.
uint64_t rowsOfStep(const vulkan::Device& device, const vulkan::Weights& weights) {
  const double work = double(weights.rowLength) * vulkan::encodeWork(weights.codec);
  const auto rows = uint64_t(device.submissionWork() / work);
  const uint64_t most = std::min(kStepBytes / (weights.rowLength * sizeof(float)), kMostRows);
  return std::max(std::min(rows, most) / vulkan::kRowsOfPanel, uint64_t{1}) * vulkan::kRowsOfPanel;
}

// Rows [first, first + count) of `from` → the same of `to`.
Result<void> encodeStep(vulkan::Device& device, const vulkan::Weights& from, uint64_t first,
                        uint64_t count, const vulkan::Buffer& floats, const vulkan::Buffer& indices,
                        const vulkan::Weights& to, const vulkan::Buffer& damage) {
  std::vector<uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), uint32_t(first));
  TRY(device.write(indices, 0, rows.data(), rows.size() * sizeof(uint32_t)));
  vulkan::Recording recording(device);
  vulkan::Ops ops(device, recording);
  TRY(ops.embed(from, indices, uint32_t(count), floats));
  TRY(ops.encode(floats, uint32_t(count), first, to, damage));
  return recording.run();
}

}  // namespace

Result<std::optional<vulkan::Weights>> Backend::State::encode(const Variant& variant, size_t tensor,
                                                              JobContext& job) {
  const Tensor& source = variant.model().tensors()[tensor];
  const Codec& codec = *variant.codecOf(tensor);
  const bool plain = variant.methodOf(tensor)->name == "nearest";
  if (!plain || !isFloats(source.codec) || !vulkan::hasEncoder(codec.name) ||
      !device->encodesFaster()) {
    return std::optional<vulkan::Weights>();
  }
  Variant original = variant.copy();
  original.setTensor(tensor, nullptr);
  TRY(const auto from, rows(original, tensor, job));
  TRY(vulkan::Weights to,
      vulkan::makeWeights(*device, codec.name, source.rows(), source.rowLength(),
                          codec.rowBytes(source.rowLength())));
  const uint64_t most = std::min(rowsOfStep(*device, to), source.rows());
  const uint32_t intact = 0;
  TRY(const vulkan::Buffer damage, device->put(&intact, sizeof(intact)));
  TRY(const vulkan::Buffer floats, device->allocate(most * source.rowLength() * sizeof(float)));
  TRY(const vulkan::Buffer indices, device->allocate(most * sizeof(uint32_t)));
  for (const vulkan::Weights::Slice& slice : to.slices) {
    for (uint64_t done = 0; done < slice.rows; done += most) {
      TRY(job.checkpoint());
      const uint64_t count = std::min(most, slice.rows - done);
      TRY(encodeStep(*device, from->weights, slice.firstRow + done, count, floats, indices, to,
                     damage));
    }
  }
  uint32_t damaged = 0;
  TRY(device->read(damage, 0, &damaged, sizeof(damaged)));
  if (damaged != 0) return std::optional<vulkan::Weights>();  // the host will say where
  return std::optional(std::move(to));
}

Result<std::shared_ptr<const DeviceTensor>> Backend::State::rows(const Variant& variant,
                                                                 size_t tensor, JobContext& job) {
  const std::string key = variant.signatureOf(tensor);
  if (const auto known = tensors.find(key); known != tensors.end()) return known->second;
  auto weights = make(variant, tensor, job);
  if (!weights && weights.error().code == ErrorCode::OutOfMemory && makeRoom()) {
    weights = make(variant, tensor, job);
  }
  if (!weights) return std::move(weights.error());
  auto made = std::make_shared<DeviceTensor>();
  made->weights = std::move(*weights);
  return tensors[key] = std::move(made);
}

Result<vulkan::Weights> Backend::State::make(const Variant& variant, size_t tensor,
                                             JobContext& job) {
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
    auto here = encode(variant, tensor, job);
    if (here && *here) return std::move(**here);
    if (!here && here.error().code != ErrorCode::OutOfMemory) return std::move(here.error());
    TRY(encoded, variant.encode(tensor, job));
    bytes = encoded.bytes;
  }
  return vulkan::upload(*device, codec->name, reinterpret_cast<const uint8_t*>(bytes.data()),
                        source.rows(), source.rowLength(), codec->rowBytes(source.rowLength()));
}

Result<std::shared_ptr<const DeviceTensor>> Backend::State::floats(const Variant& variant,
                                                                   size_t tensor, JobContext& job) {
  const std::string key = strCat(variant.signatureOf(tensor), "|floats");
  if (const auto known = tensors.find(key); known != tensors.end()) return known->second;
  TRY(const DecodedWeights values, variant.weights(tensor, job));
  auto made = std::make_shared<DeviceTensor>();
  TRY(made->floats, device->put(values->data(), values->size() * sizeof(float)));
  return tensors[key] = std::move(made);
}

}  // namespace bitloom

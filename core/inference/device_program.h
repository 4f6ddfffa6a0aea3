// SPDX-License-Identifier: GPL-3.0-or-later
// What a run on a device is recorded into, and the recorder: for device_forward.cpp.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/inference/backend_state.h"
#include "core/inference/forward.h"
#include "core/inference/interpreter.h"

namespace bitloom {

// Keys and values of one sequence on a device, by block; positions × width.
struct DeviceCache {
  explicit DeviceCache(std::shared_ptr<Backend> device) : backend(std::move(device)) {}
  ~DeviceCache() {
    const std::lock_guard lock(backend->state().mutex);
    keys.clear();
    values.clear();
  }
  DeviceCache(const DeviceCache&) = delete;
  DeviceCache& operator=(const DeviceCache&) = delete;

  std::shared_ptr<Backend> backend;
  std::vector<vulkan::Buffer> keys;
  std::vector<vulkan::Buffer> values;
};

// A reference's logits on a device, cut into chunks of equally many rows.
struct DeviceLogits {
  struct Chunk {
    vulkan::Buffer logits;
    vulkan::Buffer sums;  // of each row: the largest, log Σ e^(logit − largest)
  };
  explicit DeviceLogits(std::shared_ptr<Backend> device) : backend(std::move(device)) {}
  ~DeviceLogits() {
    const std::lock_guard lock(backend->state().mutex);
    chunks.clear();
  }
  DeviceLogits(const DeviceLogits&) = delete;
  DeviceLogits& operator=(const DeviceLogits&) = delete;

  std::shared_ptr<Backend> backend;
  size_t rowsOfChunk = 0;
  std::vector<Chunk> chunks;
};

// What one run is to do.
struct DeviceTask {
  int first = 0;
  int last = 0;       // blocks [first, last)
  bool head = false;  // then the head, for `rows` of the stream
  std::span<const uint32_t> rows;
  std::span<const Segment> segments;
  size_t tokens = 0;
  uint32_t top = 0;                              // of the head's one row: so many likeliest tokens
  const DeviceLogits::Chunk* against = nullptr;  // the head's rows are compared with these,
  uint32_t againstRow = 0;                       // from here on
};

// A recording and what it reads and writes.
struct DeviceProgram {
  std::string key;
  std::deque<vulkan::Buffer> buffers;
  std::vector<vulkan::Buffer*> spare;
  std::vector<std::shared_ptr<const DeviceTensor>> tensors;
  std::vector<std::shared_ptr<DeviceCache>> caches;
  vulkan::Buffer* stream = nullptr;
  vulkan::Buffer* positions = nullptr;
  vulkan::Buffer* tiles = nullptr;
  vulkan::Buffer* logits = nullptr;
  vulkan::Top top;
  // Where the host puts what a run reads, and finds what it gave (Recording::input, output).
  std::byte* streamInput = nullptr;
  std::byte* positionInput = nullptr;
  std::byte* tileInput = nullptr;
  std::byte* rowInput = nullptr;
  const std::byte* topLogits = nullptr;
  const std::byte* topIds = nullptr;
  const std::byte* topSums = nullptr;
  const std::byte* divergences = nullptr;
  std::unique_ptr<vulkan::Recording> recording;
  double submissionWork = 0;  // that the recording was cut for
};

// Carries out ops by recording them for the device; the backend is locked.
vulkan::CacheFormat cacheFormat(KvFormat format);

class DeviceRecorder : public OpRunner {
 public:
  // The table of rotations that a Rope op reads.
  using TableOf = std::function<Result<const vulkan::Buffer*>(const Op&)>;

  // `tileRows`: rows of a tile of attention.
  DeviceRecorder(Backend::State& backend, const Variant& variant, const DeviceTask& task,
                 DeviceProgram& program, uint32_t tileRows, TableOf tableOf, JobContext& job);

  // A new buffer that the host fills before each run, at `from`.
  Result<vulkan::Buffer*> input(uint64_t bytes, std::byte*& from);
  // A buffer that nothing recorded after this needs, or a new one.
  Result<vulkan::Buffer*> take(uint64_t bytes);
  // From now on ops work on these rows.
  void setStream(vulkan::Buffer* stream, uint32_t rows);
  // … on these rows of the stream.
  Result<void> gather(const vulkan::Buffer& rows, uint32_t count);
  vulkan::Buffer* value(int point) const { return m_values[size_t(point)]; }

  // What is wanted of the head's logits beside themselves.
  Result<void> conclude();

  Result<void> linears(std::span<const Op> ops) override;
  Result<void> other(const Op& op) override;
  void release(int point) override;

 private:
  Result<const vulkan::Buffer*> floats(int tensor);
  Result<vulkan::Buffer*> output(const Op& op);
  Result<void> attend(const Op& op, const vulkan::Buffer& out);
  Result<void> attendSplit(vulkan::Attention task, const Segment& segment);

  Backend::State& m_backend;
  const Variant& m_variant;
  const Graph& m_graph;
  const DeviceTask& m_task;
  DeviceProgram& m_program;
  vulkan::Ops m_ops;
  uint32_t m_tileRows;
  TableOf m_tableOf;
  JobContext& m_job;
  std::vector<vulkan::Buffer*> m_values;  // by point
  uint32_t m_rows = 0;
};

}  // namespace bitloom

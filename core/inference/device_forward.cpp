// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/device_forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/strings.h"
#include "core/inference/device_program.h"
#include "core/inference/reference_logits.h"
#include "core/inference/rotation.h"

namespace bitloom {

namespace {

constexpr double kMuchFaster = 4;                   // than when a recording was cut
constexpr size_t kPrograms = 4;                     // recordings that are kept
constexpr uint64_t kCompared = uint64_t{64} << 20;  // bytes of logits that are compared at once
constexpr uint32_t kUsualBatch = 512;               // tokens, for which memory is set aside
constexpr uint32_t kUsualContext = 4096;            // positions

struct Turned {  // a table of rotations on the device
  uint32_t positions = 0;
  vulkan::Buffer table;
};

}  // namespace

struct DeviceForward::State {
  explicit State(const Variant& v)
      : backend(v.backend()), variant(v), graph(v.graph()), interpreter(graph), rotations(v) {}
  ~State() {
    const std::lock_guard lock(backend->state().mutex);
    programs.clear();
    tables.clear();
    oldTables.clear();
  }

  std::shared_ptr<Backend> backend;
  const Variant& variant;
  const Graph& graph;
  Interpreter interpreter;
  Rotations rotations;
  std::map<const RotationTable*, Turned> tables;
  std::vector<vulkan::Buffer> oldTables;  // recordings may still read them
  std::list<DeviceProgram> programs;      // the one used last comes first
  int blocks = 0;
  bool head = false;

  vulkan::Device& device() { return *backend->state().device; }
  uint32_t tileRows() const;
  std::string keyOf(const DeviceTask& task) const;
  std::vector<vulkan::AttentionTile> tilesOf(const DeviceTask& task) const;
  Result<DeviceProgram*> program(const DeviceTask& task, JobContext& job);
  Result<void> record(const DeviceTask& task, DeviceProgram& program, JobContext& job);
  Result<void> prepareCaches(const DeviceTask& task, DeviceProgram& program);
  Result<const vulkan::Buffer*> tableOf(const Op& op, uint32_t positions, JobContext& job);
  Result<DeviceProgram*> execute(const DeviceTask& task, const Matrix& stream, JobContext& job);
};

namespace {

bool canCompute(const Graph& graph, const DeviceInfo& device, std::string& note) {
  for (const Op& op : graph.ops) {
    if (op.kind == OpKind::Attention && (op.headWidth % 2 != 0 || op.headWidth > 256)) {
      note = strCat(device.name, " has no kernel for heads of ", op.headWidth,
                    " values; the CPU computes.");
      return false;
    }
  }
  return true;
}

// Bytes that a block, or the head, takes: weights, and keys and values of a usual context.
uint64_t bytesOfBlock(const Variant& variant, int block) {
  const Graph& graph = variant.graph();
  const uint32_t context = std::min(graph.contextLength, kUsualContext);
  uint64_t bytes = KvCache::bytesFor(graph, context, KvFormat::F16, block);
  for (const Op& op : graph.ops) {
    if (op.block != block || op.kind != OpKind::Linear) continue;
    bytes += deviceBytes(variant, size_t(op.weight));
  }
  return bytes;
}

// What a run of a usual batch computes with.
uint64_t bytesOfBatch(const Graph& graph) {
  uint64_t width = 0;
  for (const Op& op : graph.ops) {
    if (op.block == 0 && op.output != kNone) width += graph.points[size_t(op.output)].width;
  }
  return (width + graph.vocabulary / 16) * kUsualBatch * sizeof(float);
}

// `sums`: of each run of the vocabulary the largest logit, and Σ e^(logit − largest).
TopLogits topOf(std::vector<TokenId> ids, std::vector<float> logits, std::span<const float> sums) {
  // Behind the first, what is −∞ has no id of its own.
  const auto end = std::find_if(logits.begin() + 1, logits.end(),
                                [](float logit) { return std::isinf(logit) && logit < 0; });
  logits.erase(end, logits.end());
  ids.resize(logits.size());
  double sum = 0;
  for (size_t i = 0; i < sums.size(); i += 2) {
    if (sums[i + 1] > 0) sum += double(sums[i + 1]) * std::exp(double(sums[i] - logits[0]));
  }
  const double logSum = double(logits[0]) + std::log(sum);
  return {std::move(ids), std::move(logits), logSum};
}

}  // namespace

DeviceForward::DeviceForward(std::unique_ptr<State> state) : m_state(std::move(state)) {}
DeviceForward::~DeviceForward() = default;

std::unique_ptr<DeviceForward> DeviceForward::create(const Variant& variant, std::string& note) {
  const std::shared_ptr<Backend>& backend = variant.backend();
  const DeviceInfo& info = backend->device();
  if (backend->state().device->isLost()) {
    note = strCat(info.name, " was lost; the CPU computes.");
    return nullptr;
  }
  if (!canCompute(variant.graph(), info, note)) return nullptr;
  auto state = std::make_unique<State>(variant);
  const Graph& graph = variant.graph();
  const uint64_t limit = backend->limitBytes();
  uint64_t bytes = bytesOfBatch(graph);
  while (state->blocks < int(graph.blocks)) {
    bytes += bytesOfBlock(variant, state->blocks);
    if (bytes > limit) break;
    ++state->blocks;
  }
  const bool all = state->blocks == int(graph.blocks);
  state->head = all && bytes + bytesOfBlock(variant, state->blocks) <= limit;
  if (state->head) {
    note.clear();
  } else if (state->blocks == 0) {
    note = strCat(info.name, " has room for ", binarySize(limit),
                  ", which no block of the model fits; the CPU computes.");
    return nullptr;
  } else {
    note = strCat(info.name, " has room for ", binarySize(limit), ": it computes the first ",
                  state->blocks, " of ", graph.blocks, " blocks, the CPU the rest.");
  }
  return std::unique_ptr<DeviceForward>(new DeviceForward(std::move(state)));
}

int DeviceForward::blocks() const { return m_state->blocks; }
bool DeviceForward::hasHead() const { return m_state->head; }

bool DeviceForward::holdsAll(size_t logitRows) const {
  const uint64_t bytes = uint64_t(logitRows) * m_state->graph.vocabulary * sizeof(float);
  return m_state->head && bytes <= m_state->backend->device().storageRange;
}

// Of the op that takes the fewest.
uint32_t DeviceForward::State::tileRows() const {
  uint32_t rows = UINT32_MAX;
  for (const Op& op : graph.ops) {
    if (op.kind == OpKind::Attention) {
      rows = std::min(rows, vulkan::attentionRows(op.heads, op.kvHeads));
    }
  }
  return rows;
}

std::vector<vulkan::AttentionTile> DeviceForward::State::tilesOf(const DeviceTask& task) const {
  std::vector<vulkan::AttentionTile> tiles;
  const uint32_t most = tileRows();
  uint32_t row = 0;
  for (const Segment& segment : task.segments) {
    const uint32_t firstKey = segment.cache == nullptr ? row : 0;
    for (uint32_t at = 0; at < segment.tokens; at += most) {
      tiles.push_back(
          {row + at, std::min(most, segment.tokens - at), segment.firstPosition + at, firstKey});
    }
    row += segment.tokens;
  }
  return tiles;
}

// Equal keys mean that one recording serves: same ops, shapes, weights and caches.
std::string DeviceForward::State::keyOf(const DeviceTask& task) const {
  std::string key =
      strCat(task.first, '|', task.last, '|', task.head, '|', task.rows.size(), '|', task.tokens,
             '|', task.top, '|', reinterpret_cast<uintptr_t>(task.against), '/', task.againstRow);
  for (const Segment& segment : task.segments) {
    key += strCat('|', segment.tokens);
    if (segment.cache == nullptr) continue;
    key += strCat('@', reinterpret_cast<uintptr_t>(segment.cache->onDevice().get()), '/',
                  segment.cache->capacity());
  }
  for (const Op& op : graph.ops) {
    const bool part = op.block >= task.first && op.block < task.last;
    const bool head_ = task.head && op.block == int(graph.blocks);
    if ((part || head_) && op.weight != kNone) {
      key += strCat('|', variant.signatureOf(size_t(op.weight)));
    }
  }
  return key;
}

// Room for keys and values of the device's blocks, on first use of a cache.
Result<void> DeviceForward::State::prepareCaches(const DeviceTask& task, DeviceProgram& program) {
  for (const Segment& segment : task.segments) {
    if (segment.cache == nullptr) continue;
    std::shared_ptr<DeviceCache>& cache = segment.cache->onDevice();
    program.caches.push_back(cache);
    if (!cache->keys.empty()) continue;
    const vulkan::CacheFormat format = cacheFormat(segment.cache->format());
    std::vector<vulkan::Buffer> keys{size_t(blocks)};
    std::vector<vulkan::Buffer> values{size_t(blocks)};
    for (const Op& op : graph.ops) {
      if (op.kind != OpKind::Attention || op.block >= blocks) continue;
      const uint64_t heads = uint64_t(segment.cache->capacity()) * op.kvHeads;
      TRY(keys[size_t(op.block)],
          device().allocate(vulkan::cacheBytes(format, heads * op.headWidth)));
      TRY(values[size_t(op.block)],
          device().allocate(vulkan::cacheBytes(format, heads * op.valueWidth)));
    }
    cache->keys = std::move(keys);
    cache->values = std::move(values);
  }
  return {};
}

// Cosines, then sines, of each position. A table that grows takes a new place.
Result<const vulkan::Buffer*> DeviceForward::State::tableOf(const Op& op, uint32_t positions,
                                                            JobContext& job) {
  TRY(const RotationTable* table, rotations.tableOf(op, positions, job));
  Turned& turned = tables[table];
  if (turned.positions >= positions) return &turned.table;
  std::vector<float> values;
  for (uint32_t position = 0; position < positions; ++position) {
    values.insert(values.end(), table->cosines(position),
                  table->cosines(position) + table->pairs());
    values.insert(values.end(), table->sines(position), table->sines(position) + table->pairs());
  }
  TRY(vulkan::Buffer buffer, device().allocate(values.size() * sizeof(float)));
  TRY(device().write(buffer, 0, values.data(), values.size() * sizeof(float)));
  std::swap(turned.table, buffer);
  if (buffer.bytes() > 0) oldTables.push_back(std::move(buffer));
  turned.positions = positions;
  return &turned.table;
}

Result<void> DeviceForward::State::record(const DeviceTask& task, DeviceProgram& program,
                                          JobContext& job) {
  program.recording = std::make_unique<vulkan::Recording>(device());
  uint32_t positions = 0;
  for (const Segment& segment : task.segments) {
    const uint32_t reach = segment.cache == nullptr ? segment.tokens : segment.cache->capacity();
    positions = std::max(positions, reach);
  }
  TRY(prepareCaches(task, program));
  DeviceRecorder recorder(
      backend->state(), variant, task, program, tileRows(),
      [&](const Op& op) { return tableOf(op, positions, job); }, job);
  TRY(program.stream,
      recorder.input(task.tokens * graph.width * sizeof(float), program.streamInput));
  TRY(program.positions, recorder.input(task.tokens * sizeof(uint32_t), program.positionInput));
  TRY(program.tiles,
      recorder.input(task.tokens * sizeof(vulkan::AttentionTile), program.tileInput));
  recorder.setStream(program.stream, uint32_t(task.tokens));
  for (int block = task.first; block < task.last; ++block) {
    TRY(interpreter.run(block, recorder));
  }
  if (!task.head) return {};
  if (!task.rows.empty()) {
    TRY(const vulkan::Buffer* const rows,
        recorder.input(task.rows.size() * sizeof(uint32_t), program.rowInput));
    TRY(recorder.gather(*rows, uint32_t(task.rows.size())));
  }
  TRY(interpreter.run(int(graph.blocks), recorder));
  return recorder.conclude();
}

Result<DeviceProgram*> DeviceForward::State::program(const DeviceTask& task, JobContext& job) {
  for (const Segment& segment : task.segments) {
    if (segment.cache == nullptr || segment.cache->onDevice() != nullptr) continue;
    segment.cache->onDevice() = std::make_shared<DeviceCache>(backend);
  }
  const std::string key = keyOf(task);
  for (auto each = programs.begin(); each != programs.end(); ++each) {
    if (each->key != key) continue;
    if (device().submissionWork() > kMuchFaster * each->submissionWork) {
      programs.erase(each);
      break;
    }
    programs.splice(programs.begin(), programs, each);
    return &programs.front();
  }
  while (programs.size() >= kPrograms) programs.pop_back();
  for (const bool again : {true, false}) {
    programs.emplace_front();
    Result<void> recorded = record(task, programs.front(), job);
    if (recorded) break;
    programs.pop_front();
    if (recorded.error().code != ErrorCode::OutOfMemory || !again) {
      return std::move(recorded.error());
    }
    programs.clear();
    backend->state().makeRoom();
  }
  programs.front().key = key;
  programs.front().submissionWork = device().submissionWork();
  return &programs.front();
}

Result<DeviceProgram*> DeviceForward::State::execute(const DeviceTask& task, const Matrix& stream,
                                                     JobContext& job) {
  TRY(DeviceProgram* const run, program(task, job));
  TRY(device().wait());
  const auto put = [](std::byte* to, const auto& values) {
    std::memcpy(to, values.data(), values.size() * sizeof(values[0]));
  };
  put(run->streamInput, stream.values);
  std::vector<uint32_t> positions;
  for (const Segment& segment : task.segments) {
    for (uint32_t i = 0; i < segment.tokens; ++i) positions.push_back(segment.firstPosition + i);
  }
  if (!positions.empty()) {
    put(run->positionInput, positions);
    put(run->tileInput, tilesOf(task));
  }
  if (run->rowInput != nullptr) put(run->rowInput, task.rows);
  TRY(run->recording->run([&] { return job.checkpoint(); }));
  return run;
}

Result<void> DeviceForward::run(int first, int last, Matrix& stream,
                                std::span<const Segment> segments, JobContext& job) {
  State& state = *m_state;
  const std::lock_guard lock(state.backend->state().mutex);
  const DeviceTask task{.first = first, .last = last, .segments = segments, .tokens = stream.rows};
  TRY(DeviceProgram* const program, state.execute(task, stream, job));
  return state.device().read(*program->stream, 0, stream.values.data(),
                             stream.values.size() * sizeof(float));
}

Result<Matrix> DeviceForward::head(const Matrix& rows, JobContext& job) {
  State& state = *m_state;
  const std::lock_guard lock(state.backend->state().mutex);
  const uint64_t rowBytes = state.graph.vocabulary * sizeof(float);
  const size_t most = size_t(state.device().info().storageRange / rowBytes);
  Matrix logits(rows.rows, state.graph.vocabulary);
  for (size_t first = 0; first < rows.rows; first += most) {
    Matrix part(std::min(most, rows.rows - first), rows.cols);
    std::copy_n(rows.row(first), part.values.size(), part.values.data());
    const int end = int(state.graph.blocks);
    const DeviceTask task{.first = end, .last = end, .head = true, .tokens = part.rows};
    TRY(DeviceProgram* const program, state.execute(task, part, job));
    TRY(state.device().read(*program->logits, 0, logits.row(first), part.rows * rowBytes));
  }
  return logits;
}

bool DeviceForward::keep(const ReferenceLogits& reference) {
  State& state = *m_state;
  const std::lock_guard lock(state.backend->state().mutex);
  std::shared_ptr<DeviceLogits>& kept = reference.onDevice();
  if (kept != nullptr && kept->backend == state.backend) return true;
  vulkan::Device& device = state.device();
  // What is left then must hold the logits that are compared, and more.
  if (device.isLost() || 3 * reference.bytes() > device.limitBytes() - device.usedBytes()) {
    return false;
  }
  const Matrix& logits = reference.logits();
  const uint64_t rowBytes = logits.cols * sizeof(float);
  auto made = std::make_shared<DeviceLogits>(state.backend);
  made->rowsOfChunk = size_t(std::min(kCompared, state.device().info().storageRange) / rowBytes);
  for (size_t first = 0; first < logits.rows; first += made->rowsOfChunk) {
    const size_t count = std::min(made->rowsOfChunk, logits.rows - first);
    std::vector<float> sums;
    for (const LogitRow& row : std::span(reference.rows()).subspan(first, count)) {
      sums.push_back(row.largest);
      sums.push_back(float(row.logSum - double(row.largest)));
    }
    auto rows = device.put(logits.row(first), count * rowBytes);
    auto both = device.put(sums.data(), sums.size() * sizeof(float));
    if (!rows || !both) return false;
    made->chunks.push_back({std::move(*rows), std::move(*both)});
  }
  kept = std::move(made);
  return true;
}

Result<ComparedRows> DeviceForward::compare(const Matrix& rows, const ReferenceLogits& reference,
                                            size_t firstRow, std::optional<size_t> shown,
                                            JobContext& job) {
  State& state = *m_state;
  const std::lock_guard lock(state.backend->state().mutex);
  const DeviceLogits& kept = *reference.onDevice();
  ComparedRows result;
  while (result.kld.size() < rows.rows) {
    const size_t first = result.kld.size();
    const size_t at = firstRow + first;
    const size_t inChunk = at % kept.rowsOfChunk;
    Matrix part(std::min(kept.rowsOfChunk - inChunk, rows.rows - first), rows.cols);
    std::copy_n(rows.row(first), part.values.size(), part.values.data());
    const int end = int(state.graph.blocks);
    const DeviceTask task{.first = end,
                          .last = end,
                          .head = true,
                          .tokens = part.rows,
                          .against = &kept.chunks[at / kept.rowsOfChunk],
                          .againstRow = uint32_t(inChunk)};
    TRY(DeviceProgram* const program, state.execute(task, part, job));
    const auto* kld = reinterpret_cast<const float*>(program->divergences);
    result.kld.insert(result.kld.end(), kld, kld + part.rows);
    if (!shown || *shown < first || *shown >= first + part.rows) continue;
    result.shown.resize(state.graph.vocabulary);
    const uint64_t bytes = result.shown.size() * sizeof(float);
    TRY(state.device().read(*program->logits, (*shown - first) * bytes, result.shown.data(),
                            bytes));
  }
  return result;
}

Result<TopLogits> DeviceForward::top(const Matrix& stream, std::span<const Segment> segments,
                                     size_t count, JobContext& job) {
  State& state = *m_state;
  const std::lock_guard lock(state.backend->state().mutex);
  const auto last = uint32_t(stream.rows - 1);
  const DeviceTask task{.first = 0,
                        .last = int(state.graph.blocks),
                        .head = true,
                        .rows = {&last, 1},
                        .segments = segments,
                        .tokens = stream.rows,
                        .top = uint32_t(count)};
  TRY(DeviceProgram* const program, state.execute(task, stream, job));
  const vulkan::Top& top = program->top;
  const auto floats = [](const std::byte* at, size_t size) {
    return std::span(reinterpret_cast<const float*>(at), size);
  };
  const auto logits = floats(program->topLogits, top.count);
  const auto* ids = reinterpret_cast<const TokenId*>(program->topIds);
  return topOf({ids, ids + top.count}, {logits.begin(), logits.end()},
               floats(program->topSums, 2 * top.runs));
}

Result<Matrix> DeviceForward::logits(const Matrix& stream, std::span<const Segment> segments,
                                     std::span<const uint32_t> rows, JobContext& job) {
  State& state = *m_state;
  const std::lock_guard lock(state.backend->state().mutex);
  const DeviceTask task{.first = 0,
                        .last = int(state.graph.blocks),
                        .head = !rows.empty(),
                        .rows = rows,
                        .segments = segments,
                        .tokens = stream.rows};
  TRY(DeviceProgram* const program, state.execute(task, stream, job));
  Matrix logits(rows.size(), state.graph.vocabulary);
  if (!rows.empty()) {
    TRY(state.device().read(*program->logits, 0, logits.values.data(),
                            logits.values.size() * sizeof(float)));
  }
  return logits;
}

}  // namespace bitloom

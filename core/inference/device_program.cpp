// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/device_program.h"

#include <utility>

#include "core/base/strings.h"

namespace bitloom {
namespace {

bool isRotated(const Codec* codec) {
  return codec != nullptr && vulkan::hasShaders(codec->name) && codec->grid != nullptr &&
         codec->grid->toBasis != nullptr;
}

}  // namespace

vulkan::CacheFormat cacheFormat(KvFormat format) {
  switch (format) {
    case KvFormat::F16:
      return vulkan::CacheFormat::Halves;
    case KvFormat::Q8_0:
      return vulkan::CacheFormat::Bytes;
    case KvFormat::F32:
      break;
  }
  return vulkan::CacheFormat::Floats;
}

DeviceRecorder::DeviceRecorder(Backend::State& backend, const Variant& variant,
                               const DeviceTask& task, DeviceProgram& program, uint32_t tileRows,
                               TableOf tableOf, JobContext& job)
    : m_backend(backend),
      m_variant(variant),
      m_graph(variant.graph()),
      m_task(task),
      m_program(program),
      m_ops(*backend.device, *program.recording),
      m_tileRows(tileRows),
      m_tableOf(std::move(tableOf)),
      m_job(job),
      m_values(m_graph.points.size(), nullptr) {}

Result<vulkan::Buffer*> DeviceRecorder::take(uint64_t bytes) {
  for (auto& buffer : m_program.spare) {
    if (buffer->bytes() < bytes || buffer->bytes() / 2 > bytes) continue;
    vulkan::Buffer* found = buffer;
    std::swap(buffer, m_program.spare.back());
    m_program.spare.pop_back();
    return found;
  }
  TRY(vulkan::Buffer made, m_backend.device->allocate(bytes));
  return &m_program.buffers.emplace_back(std::move(made));
}

Result<vulkan::Buffer*> DeviceRecorder::input(uint64_t bytes, std::byte*& from) {
  TRY(vulkan::Buffer made, m_backend.device->allocate(bytes));
  vulkan::Buffer& buffer = m_program.buffers.emplace_back(std::move(made));
  TRY(from, m_program.recording->input(buffer));
  return &buffer;
}

void DeviceRecorder::setStream(vulkan::Buffer* stream, uint32_t rows) {
  m_values[size_t(m_graph.stream)] = stream;
  m_rows = rows;
}

Result<void> DeviceRecorder::gather(const vulkan::Buffer& rows, uint32_t count) {
  const vulkan::Buffer* whole = m_values[size_t(m_graph.stream)];
  TRY(vulkan::Buffer * chosen, take(uint64_t(count) * m_graph.width * sizeof(float)));
  TRY(m_ops.gather(*whole, m_graph.width, rows, count, *chosen));
  setStream(chosen, count);
  return {};
}

Result<void> DeviceRecorder::conclude() {
  m_program.logits = value(m_graph.logits);
  if (m_task.top > 0) {
    TRY(m_program.top, vulkan::makeTop(*m_backend.device, m_graph.vocabulary, m_task.top));
    vulkan::Top& top = m_program.top;
    TRY(m_ops.top(*m_program.logits, m_graph.vocabulary, top));
    TRY(m_program.topLogits, m_program.recording->output(top.values[top.last]));
    TRY(m_program.topIds, m_program.recording->output(top.ids[top.last]));
    TRY(m_program.topSums, m_program.recording->output(top.sums));
  }
  if (m_task.against != nullptr) {
    TRY(const vulkan::Buffer* const kld, take(m_rows * sizeof(float)));
    TRY(m_ops.divergence(*m_program.logits, m_rows, m_graph.vocabulary, m_task.against->logits,
                         m_task.against->sums, m_task.againstRow, *kld));
    TRY(m_program.divergences, m_program.recording->output(*kld));
  }
  return {};
}

Result<void> DeviceRecorder::linears(std::span<const Op> ops) {
  TRY(m_job.checkpoint());
  const vulkan::Buffer* input = value(ops.front().input);
  const uint64_t count = uint64_t(m_rows) * m_graph.points[size_t(ops.front().input)].width;
  vulkan::Buffer* rotated = nullptr;
  for (const Op& op : ops) {
    TRY(const auto tensor, m_backend.rows(m_variant, size_t(op.weight), m_job));
    m_program.tensors.push_back(tensor);
    const vulkan::Buffer* bias = nullptr;
    if (op.bias != kNone) {
      TRY(bias, floats(op.bias));
    }
    const bool turn = isRotated(m_variant.codecOf(size_t(op.weight)));
    if (turn && rotated == nullptr) {
      TRY(rotated, take(count * sizeof(float)));
      TRY(m_ops.rotate(*input, count, *rotated));
    }
    TRY(const vulkan::Buffer* out, output(op));
    TRY(m_ops.linear(tensor->weights, turn ? *rotated : *input, m_rows, bias, *out));
  }
  if (rotated != nullptr) m_program.spare.push_back(rotated);
  return {};
}

Result<void> DeviceRecorder::other(const Op& op) {
  TRY(m_job.checkpoint());
  TRY(const vulkan::Buffer* out, output(op));
  const vulkan::Buffer& in = *value(op.input);
  const uint64_t width = m_graph.points[size_t(op.output)].width;
  const uint64_t count = m_rows * width;
  switch (op.kind) {
    case OpKind::Norm: {
      TRY(const vulkan::Buffer* weight, floats(op.weight));
      return m_ops.norm(in, *weight, op.groupWidth, count / op.groupWidth, op.epsilon, *out);
    }
    case OpKind::Rope: {
      TRY(const vulkan::Buffer* table, m_tableOf(op));
      return m_ops.rope({.input = &in,
                         .output = out,
                         .table = table,
                         .positions = m_program.positions,
                         .rows = m_rows,
                         .heads = op.heads,
                         .headWidth = op.headWidth,
                         .pairs = op.rope.rotated / 2,
                         .adjacent = op.rope.style == RopeStyle::AdjacentPairs});
    }
    case OpKind::Attention:
      return attend(op, *out);
    case OpKind::ActivationGate: {
      const auto kind = op.activation == Activation::Silu ? vulkan::Elementwise::SiluGate
                                                          : vulkan::Elementwise::GeluGate;
      return m_ops.elementwise(kind, in, value(op.input2), count, 1, *out);
    }
    case OpKind::Add:
      return m_ops.elementwise(vulkan::Elementwise::Add, in, value(op.input2), count, 1, *out);
    case OpKind::Scale:
      return m_ops.elementwise(vulkan::Elementwise::Scale, in, nullptr, count, op.factor, *out);
    case OpKind::Embed:
    case OpKind::Linear:
      break;
  }
  return makeError(ErrorCode::Unsupported, m_backend.device->info().name,
                   " does not compute this model's embedding.");
}

void DeviceRecorder::release(int point) {
  if (vulkan::Buffer* buffer = std::exchange(m_values[size_t(point)], nullptr)) {
    m_program.spare.push_back(buffer);
  }
}

Result<const vulkan::Buffer*> DeviceRecorder::floats(int tensor) {
  TRY(auto values, m_backend.floats(m_variant, size_t(tensor), m_job));
  m_program.tensors.push_back(values);
  return &values->floats;
}

Result<vulkan::Buffer*> DeviceRecorder::output(const Op& op) {
  vulkan::Buffer*& buffer = m_values[size_t(op.output)];
  if (buffer == nullptr) {
    const uint64_t width = m_graph.points[size_t(op.output)].width;
    TRY(buffer, take(m_rows * width * sizeof(float)));
  }
  return buffer;
}

// What few queries leave idle is put to work on shares of the positions.
Result<void> DeviceRecorder::attendSplit(vulkan::Attention task, const Segment& segment) {
  const uint32_t most = segment.cache == nullptr ? segment.tokens : segment.cache->capacity();
  task.splits = vulkan::attentionSplits(*m_backend.device, task, most);
  if (task.splits == 1) return m_ops.attend(task);
  TRY(vulkan::Buffer* const shares, take(vulkan::attentionShareBytes(task)));
  task.shares = shares;
  TRY(m_ops.attend(task));
  m_program.spare.push_back(shares);
  return {};
}

// Segments without a cache read this run's keys and values, all in one dispatch; others their
// caches.
Result<void> DeviceRecorder::attend(const Op& op, const vulkan::Buffer& out) {
  const vulkan::Buffer& keys = *value(op.input2);
  const vulkan::Buffer& values = *value(op.input3);
  vulkan::Attention task{.queries = value(op.input),
                         .output = &out,
                         .tiles = m_program.tiles,
                         .heads = op.heads,
                         .keyHeads = op.kvHeads,
                         .headWidth = op.headWidth,
                         .valueWidth = op.valueWidth,
                         .scale = op.factor};
  uint32_t row = 0;
  uint32_t tile = 0;
  for (const Segment& segment : m_task.segments) {
    const uint32_t tiles = (segment.tokens + m_tileRows - 1) / m_tileRows;
    task.keys = &keys;
    task.values = &values;
    task.format = vulkan::CacheFormat::Floats;
    task.firstTile = tile;
    task.tileCount = tiles;
    task.positions = segment.firstPosition + segment.tokens;
    if (segment.cache != nullptr) {
      const DeviceCache& cache = *segment.cache->onDevice();
      task.format = cacheFormat(segment.cache->format());
      task.keys = &cache.keys[size_t(op.block)];
      task.values = &cache.values[size_t(op.block)];
      TRY(m_ops.keep(keys, op.kvHeads * op.headWidth, *m_program.positions, row, segment.tokens,
                     task.format, *task.keys));
      TRY(m_ops.keep(values, op.kvHeads * op.valueWidth, *m_program.positions, row, segment.tokens,
                     task.format, *task.values));
    }
    TRY(attendSplit(task, segment));
    row += segment.tokens;
    tile += tiles;
  }
  return {};
}

}  // namespace bitloom

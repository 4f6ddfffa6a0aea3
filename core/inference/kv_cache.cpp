// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/kv_cache.h"

#include <algorithm>

#include "core/codec.h"
#include "kernels/base/result.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr uint64_t kRun = 32;  // values of a block of Q8_0

uint64_t bytesOf(uint64_t values, KvFormat format) {
  switch (format) {
    case KvFormat::F16:
      return values * sizeof(uint16_t);
    case KvFormat::Q8_0:
      return values / kRun * 34;
    case KvFormat::F32:
      break;
  }
  return values * sizeof(float);
}

// Rows end to end: blocks do not reach across them.
void encodeBytes(const float* values, size_t count, std::byte* bytes) {
  findCodec("q8_0")->encode({values, count}, {}, {bytes, bytesOf(count, KvFormat::Q8_0)});
}

void decodeBytes(const std::vector<std::byte>& bytes, std::vector<float>& values) {
  const size_t count = bytesOf(values.size(), KvFormat::Q8_0);
  findCodec("q8_0")->decode(std::span(bytes).first(count), values);
}

}  // namespace

KvCache::KvCache(const Graph& graph, uint32_t capacity, KvFormat format)
    : m_layers(graph.blocks), m_capacity(capacity), m_format(format) {
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::Attention) continue;
    Layer& layer = m_layers.at(static_cast<size_t>(op.block));
    layer.keyWidth = op.kvHeads * op.headWidth;
    layer.valueWidth = op.kvHeads * op.valueWidth;
  }
}

// On first use: blocks that a device computes keep nothing here.
void KvCache::reserve(Layer& layer) {
  const size_t keys = size_t(m_capacity) * layer.keyWidth;
  const size_t values = size_t(m_capacity) * layer.valueWidth;
  if (m_format == KvFormat::F16) {
    layer.keys16.resize(keys);
    layer.values16.resize(values);
  } else if (m_format == KvFormat::Q8_0) {
    layer.keys8.resize(bytesOf(keys, m_format));
    layer.values8.resize(bytesOf(values, m_format));
  } else {
    layer.keys32.resize(keys);
    layer.values32.resize(values);
  }
}

uint64_t KvCache::bytes() const {
  uint64_t widths = 0;
  for (const Layer& layer : m_layers) widths += layer.keyWidth + layer.valueWidth;
  return bytesOf(widths * m_capacity, m_format);
}

uint64_t KvCache::bytesFor(const Graph& graph, uint32_t capacity, KvFormat format) {
  uint64_t bytes = 0;
  for (int block = 0; block < int(graph.blocks); ++block) {
    bytes += bytesFor(graph, capacity, format, block);
  }
  return bytes;
}

uint64_t KvCache::bytesFor(const Graph& graph, uint32_t capacity, KvFormat format, int block) {
  uint64_t widths = 0;
  for (const Op& op : graph.ops) {
    if (op.kind == OpKind::Attention && op.block == block) {
      widths += uint64_t(op.kvHeads) * (op.headWidth + op.valueWidth);
    }
  }
  return bytesOf(widths * capacity, format);
}

bool KvCache::holds(const Graph& graph, KvFormat format) {
  if (format != KvFormat::Q8_0) return true;
  return std::all_of(graph.ops.begin(), graph.ops.end(), [](const Op& op) {
    return op.kind != OpKind::Attention ||
           (op.kvHeads * op.headWidth % kRun == 0 && op.kvHeads * op.valueWidth % kRun == 0);
  });
}

void KvCache::write(int block, uint32_t position, uint32_t count, const float* keys,
                    const float* values) {
  CHECK(position <= m_capacity && count <= m_capacity - position);
  Layer& layer = m_layers.at(static_cast<size_t>(block));
  reserve(layer);
  const size_t keyCount = size_t(count) * layer.keyWidth;
  const size_t valueCount = size_t(count) * layer.valueWidth;
  const size_t keyOffset = size_t(position) * layer.keyWidth;
  const size_t valueOffset = size_t(position) * layer.valueWidth;
  if (m_format == KvFormat::F16) {
    cpuKernels().f32ToF16(layer.keys16.data() + keyOffset, keys, keyCount);
    cpuKernels().f32ToF16(layer.values16.data() + valueOffset, values, valueCount);
  } else if (m_format == KvFormat::Q8_0) {
    encodeBytes(keys, keyCount, layer.keys8.data() + bytesOf(keyOffset, m_format));
    encodeBytes(values, valueCount, layer.values8.data() + bytesOf(valueOffset, m_format));
  } else {
    std::copy_n(keys, keyCount, layer.keys32.data() + keyOffset);
    std::copy_n(values, valueCount, layer.values32.data() + valueOffset);
  }
}

const uint16_t* KvCache::keyHalves(int block) const {
  return m_format == KvFormat::F16 ? m_layers.at(size_t(block)).keys16.data() : nullptr;
}

const uint16_t* KvCache::valueHalves(int block) const {
  return m_format == KvFormat::F16 ? m_layers.at(size_t(block)).values16.data() : nullptr;
}

void KvCache::read(int block, uint32_t count, std::vector<float>& keys,
                   std::vector<float>& values) const {
  CHECK(count <= m_capacity);
  const Layer& layer = m_layers.at(static_cast<size_t>(block));
  keys.resize(size_t(count) * layer.keyWidth);
  values.resize(size_t(count) * layer.valueWidth);
  if (m_format == KvFormat::F16) {
    cpuKernels().f16ToF32(keys.data(), layer.keys16.data(), keys.size());
    cpuKernels().f16ToF32(values.data(), layer.values16.data(), values.size());
  } else if (m_format == KvFormat::Q8_0) {
    decodeBytes(layer.keys8, keys);
    decodeBytes(layer.values8, values);
  } else {
    std::copy_n(layer.keys32.data(), keys.size(), keys.data());
    std::copy_n(layer.values32.data(), values.size(), values.data());
  }
}

}  // namespace bitloom

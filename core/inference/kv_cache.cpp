// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/kv_cache.h"

#include <algorithm>

#include "kernels/base/result.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

uint64_t bytesOfValue(KvFormat format) {
  return format == KvFormat::F16 ? sizeof(uint16_t) : sizeof(float);
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
  } else {
    layer.keys32.resize(keys);
    layer.values32.resize(values);
  }
}

uint64_t KvCache::bytes() const {
  uint64_t widths = 0;
  for (const Layer& layer : m_layers) widths += layer.keyWidth + layer.valueWidth;
  return widths * m_capacity * bytesOfValue(m_format);
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
  return widths * capacity * bytesOfValue(format);
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
  } else {
    std::copy_n(layer.keys32.data(), keys.size(), keys.data());
    std::copy_n(layer.values32.data(), values.size(), values.data());
  }
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Keys and values of one sequence, per block: positions × (kvHeads × headWidth), stored as f16, f32
// or the codec Q8_0 (a row is then a multiple of 32) and read back as f32. Keys are stored after
// RoPE. Not thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/graph.h"

namespace bitloom {

enum class KvFormat { F16, F32, Q8_0 };

struct DeviceCache;  // core/inference/device_forward.h

class KvCache {
 public:
  KvCache(const Graph& graph, uint32_t capacity, KvFormat format);

  KvFormat format() const { return m_format; }
  uint32_t capacity() const { return m_capacity; }
  uint32_t size() const { return m_size; }                  // positions that every block has
  void setSize(uint32_t positions) { m_size = positions; }  // truncates, or commits appended ones
  uint64_t bytes() const;
  static uint64_t bytesFor(const Graph& graph, uint32_t capacity, KvFormat format);
  static uint64_t bytesFor(const Graph& graph, uint32_t capacity, KvFormat format, int block);
  // Whether rows of this graph can be kept so.
  static bool holds(const Graph& graph, KvFormat format);

  // Writes `count` positions of block `block` starting at `position`.
  void write(int block, uint32_t position, uint32_t count, const float* keys, const float* values);
  // Rows of block `block` as stored; null when the format is not F16.
  const uint16_t* keyHalves(int block) const;
  const uint16_t* valueHalves(int block) const;
  // Positions [0, count) of block `block` as floats.
  void read(int block, uint32_t count, std::vector<float>& keys, std::vector<float>& values) const;

  // What a device keeps of this sequence in place of the blocks here; null at first.
  std::shared_ptr<DeviceCache>& onDevice() { return m_onDevice; }

 private:
  struct Layer {
    uint32_t keyWidth = 0;
    uint32_t valueWidth = 0;
    std::vector<float> keys32, values32;
    std::vector<uint16_t> keys16, values16;
    std::vector<std::byte> keys8, values8;
  };
  void reserve(Layer& layer);

  std::vector<Layer> m_layers;
  std::shared_ptr<DeviceCache> m_onDevice;
  uint32_t m_capacity = 0;
  uint32_t m_size = 0;
  KvFormat m_format;
};

}  // namespace bitloom

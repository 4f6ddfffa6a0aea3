// SPDX-License-Identifier: GPL-3.0-or-later
// The free ranges of one large allocation: first fit, neighbours joined when a range comes back.
#pragma once
#include <cstdint>
#include <map>
#include <optional>

namespace bitloom::vulkan {

class FreeRanges {
 public:
  explicit FreeRanges(uint64_t bytes = 0) : m_bytes(bytes) {
    if (bytes > 0) m_free[0] = bytes;
  }

  // The offset of a range of `bytes`, a multiple of the granularity that all ranges have.
  std::optional<uint64_t> take(uint64_t bytes) {
    for (auto range = m_free.begin(); range != m_free.end(); ++range) {
      if (range->second < bytes) continue;
      const uint64_t offset = range->first;
      const uint64_t rest = range->second - bytes;
      m_free.erase(range);
      if (rest > 0) m_free[offset + bytes] = rest;
      return offset;
    }
    return {};
  }

  void give(uint64_t offset, uint64_t bytes) {
    auto range = m_free.emplace(offset, bytes).first;
    const auto next = std::next(range);
    if (next != m_free.end() && offset + bytes == next->first) {
      range->second += next->second;
      m_free.erase(next);
    }
    if (range == m_free.begin()) return;
    const auto before = std::prev(range);
    if (before->first + before->second != offset) return;
    before->second += range->second;
    m_free.erase(range);
  }

  bool isAllFree() const { return m_free.size() == 1 && m_free.begin()->second == m_bytes; }
  uint64_t bytes() const { return m_bytes; }

 private:
  uint64_t m_bytes;
  std::map<uint64_t, uint64_t> m_free;  // offset → bytes
};

}  // namespace bitloom::vulkan

// SPDX-License-Identifier: GPL-3.0-or-later
// GGUF files byte by byte, for tests: independent of the product's reader and writer, and able to
// write what no sane writer would (any count, offset, type or length can be set by hand).
//
//   GgufBytes gguf;
//   gguf.key("general.architecture", "llama").key("llama.block_count", uint32_t{2});
//   gguf.tensor("blk.0.ffn_up.weight", {64, 96}, kF32, floatBytes(values));
//   writeFile(path, gguf.build());
#pragma once
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace bitloom::test {

enum GgmlType : uint32_t { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ8_0 = 8, kI8 = 24, kI32 = 26 };

template <typename Number>
std::string raw(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

inline std::string ggufString(std::string_view text) {
  return raw(uint64_t{text.size()}) + std::string(text);
}

inline std::string floatBytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

template <typename Number>
constexpr uint32_t ggufTypeOf() {
  if constexpr (std::is_same_v<Number, bool>) return 7;
  if constexpr (std::is_same_v<Number, uint8_t>) return 0;
  if constexpr (std::is_same_v<Number, int8_t>) return 1;
  if constexpr (std::is_same_v<Number, uint16_t>) return 2;
  if constexpr (std::is_same_v<Number, int16_t>) return 3;
  if constexpr (std::is_same_v<Number, uint32_t>) return 4;
  if constexpr (std::is_same_v<Number, int32_t>) return 5;
  if constexpr (std::is_same_v<Number, float>) return 6;
  if constexpr (std::is_same_v<Number, uint64_t>) return 10;
  if constexpr (std::is_same_v<Number, int64_t>) return 11;
  if constexpr (std::is_same_v<Number, double>) return 12;
}

struct GgufTensorBytes {
  std::string name;
  std::vector<uint64_t> shape;
  uint32_t type = kF32;
  std::string data;
  std::optional<uint64_t> offset;      // else the next multiple of the alignment
  std::optional<uint32_t> dimensions;  // else shape.size()
};

class GgufBytes {
 public:
  // What the header says, when it shall not be the truth.
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensorCount;
  std::optional<uint64_t> keyCount;
  uint64_t alignment = 32;  // of offsets; the key `general.alignment` is yours to write
  bool padLast = true;      // zeros after the last tensor up to the alignment
  std::vector<GgufTensorBytes> tensors;

  template <typename Number, typename = std::enable_if_t<std::is_arithmetic_v<Number>>>
  GgufBytes& key(std::string_view name, Number value) {
    return rawKey(name, ggufTypeOf<Number>(), raw(value));
  }
  GgufBytes& key(std::string_view name, const char* value) {
    return rawKey(name, 8, ggufString(value));
  }
  GgufBytes& key(std::string_view name, const std::string& value) {
    return rawKey(name, 8, ggufString(value));
  }
  GgufBytes& key(std::string_view name, const std::vector<std::string>& values) {
    std::string bytes = raw(uint32_t{8}) + raw(uint64_t{values.size()});
    for (const std::string& value : values) bytes += ggufString(value);
    return rawKey(name, 9, bytes);
  }
  template <typename Number>
  GgufBytes& key(std::string_view name, const std::vector<Number>& values) {
    std::string bytes = raw(ggufTypeOf<Number>()) + raw(uint64_t{values.size()});
    for (const Number value : values) bytes += raw(value);
    return rawKey(name, 9, bytes);
  }
  GgufBytes& rawKey(std::string_view name, uint32_t type, const std::string& value) {
    m_keys += ggufString(name) + raw(type) + value;
    ++m_keyCount;
    return *this;
  }

  GgufTensorBytes& tensor(std::string name, std::vector<uint64_t> shape, uint32_t type,
                          std::string data) {
    tensors.push_back({std::move(name), std::move(shape), type, std::move(data), {}, {}});
    return tensors.back();
  }

  std::string header() const {
    std::string bytes = magic + raw(version) + raw(tensorCount.value_or(tensors.size())) +
                        raw(keyCount.value_or(m_keyCount)) + m_keys;
    uint64_t next = 0;
    for (const GgufTensorBytes& tensor : tensors) {
      const uint64_t offset = tensor.offset.value_or(next);
      bytes +=
          ggufString(tensor.name) + raw(tensor.dimensions.value_or(uint32_t(tensor.shape.size())));
      for (const uint64_t size : tensor.shape) bytes += raw(size);
      bytes += raw(tensor.type) + raw(offset);
      next = padded(next + tensor.data.size());
    }
    return bytes;
  }

  std::string build() const {
    std::string bytes = header();
    if (tensors.empty()) return bytes;
    bytes.resize(padded(bytes.size()), '\0');
    const size_t dataBegin = bytes.size();
    for (const GgufTensorBytes& tensor : tensors) {
      bytes.resize(dataBegin + padded(bytes.size() - dataBegin), '\0');
      bytes += tensor.data;
    }
    if (padLast) bytes.resize(dataBegin + padded(bytes.size() - dataBegin), '\0');
    return bytes;
  }

 private:
  uint64_t padded(uint64_t size) const { return (size + alignment - 1) / alignment * alignment; }

  std::string m_keys;
  uint64_t m_keyCount = 0;
};

}  // namespace bitloom::test

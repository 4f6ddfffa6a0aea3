// SPDX-License-Identifier: GPL-3.0-or-later
// The key–value part of a trusted GGUF file, read without the product's own reader.
#pragma once
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "core/metadata.h"

namespace bitloom::test {

class GgufKeys {
 public:
  static Metadata read(const std::filesystem::path& path) {
    GgufKeys reader(path);
    Metadata result;
    reader.number<uint32_t>();  // magic
    reader.number<uint32_t>();  // version
    reader.number<uint64_t>();  // tensors
    const auto count = reader.number<uint64_t>();
    for (uint64_t i = 0; i < count; ++i) {
      const std::string key = reader.string();
      result.set(key, reader.value(MetaType(reader.number<uint32_t>())));
    }
    return result;
  }

 private:
  explicit GgufKeys(const std::filesystem::path& path) : m_in(path, std::ios::binary) {}

  template <typename T>
  T number() {
    T value{};
    m_in.read(reinterpret_cast<char*>(&value), sizeof value);
    if (!m_in) throw std::runtime_error("the test's GGUF file is cut short");
    return value;
  }

  std::string string() {
    std::string text(number<uint64_t>(), '\0');
    m_in.read(text.data(), std::streamsize(text.size()));
    return text;
  }

  MetaValue value(MetaType type) {
    switch (type) {
      case MetaType::U8:
        return {type, uint64_t(number<uint8_t>())};
      case MetaType::U16:
        return {type, uint64_t(number<uint16_t>())};
      case MetaType::U32:
        return {type, uint64_t(number<uint32_t>())};
      case MetaType::U64:
        return {type, number<uint64_t>()};
      case MetaType::I8:
        return {type, int64_t(number<int8_t>())};
      case MetaType::I16:
        return {type, int64_t(number<int16_t>())};
      case MetaType::I32:
        return {type, int64_t(number<int32_t>())};
      case MetaType::I64:
        return {type, number<int64_t>()};
      case MetaType::F32:
        return {type, double(number<float>())};
      case MetaType::F64:
        return {type, number<double>()};
      case MetaType::Bool:
        return {type, number<uint8_t>() != 0};
      case MetaType::String:
        return {type, string()};
      case MetaType::Array:
        return {type, array()};
    }
    throw std::runtime_error("the test's GGUF file holds an unknown type");
  }

  MetaArray array() {
    MetaArray result;
    result.type = MetaType(number<uint32_t>());
    const auto count = number<uint64_t>();
    if (result.type == MetaType::String) {
      for (uint64_t i = 0; i < count; ++i) result.strings.push_back(string());
    } else {
      result.numbers.resize(count * elementBytes(result.type));
      m_in.read(reinterpret_cast<char*>(result.numbers.data()),
                std::streamsize(result.numbers.size()));
    }
    return result;
  }

  std::ifstream m_in;
};

}  // namespace bitloom::test

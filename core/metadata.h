// SPDX-License-Identifier: GPL-3.0-or-later
// The key–value part of a GGUF file, in file order, every value with the exact type it had, so that
// what is written again is what was read.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitloom {

// Numbers of the GGUF specification, stored in files; never reused.
enum class MetaType : uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12,
};

// Arrays of numbers keep their little-endian bytes (`elementBytes(type)` each); arrays of strings
// keep strings. Arrays of arrays are refused by the reader.
struct MetaArray {
  MetaType type = MetaType::U8;
  std::vector<std::byte> numbers;
  std::vector<std::string> strings;
  size_t size() const;
  double number(size_t index) const;  // any numeric element as a double
};

struct MetaValue {
  MetaType type = MetaType::U8;
  std::variant<uint64_t, int64_t, double, bool, std::string, MetaArray> value;

  static MetaValue u32(uint32_t value);
  static MetaValue boolean(bool value);
  static MetaValue f32(float value);
  static MetaValue string(std::string value);
  static MetaValue stringArray(std::vector<std::string> values);
};

size_t elementBytes(MetaType type);  // of a number or bool; 0 for String and Array
std::string_view metaTypeName(MetaType type);
std::string display(const MetaValue& value, size_t maxLength = 80);  // for people

class Metadata {
 public:
  struct Entry {
    std::string key;
    MetaValue value;
  };

  std::span<const Entry> entries() const { return m_entries; }
  const MetaValue* find(std::string_view key) const;  // null when absent
  void set(std::string_view key, MetaValue value);    // replaces in place, or appends
  void append(std::string key, MetaValue value);      // the key must be new
  void erase(std::string_view key);

  // Empty when the key is absent or holds another kind of value. Numbers convert between widths
  // when the value fits.
  std::optional<uint64_t> unsignedOf(std::string_view key) const;
  std::optional<double> numberOf(std::string_view key) const;
  std::optional<bool> boolOf(std::string_view key) const;
  std::optional<std::string_view> stringOf(std::string_view key) const;
  const MetaArray* arrayOf(std::string_view key) const;

 private:
  std::vector<Entry> m_entries;
};

}  // namespace bitloom

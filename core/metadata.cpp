// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/metadata.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/strings.h"

namespace bitloom {
namespace {

struct TypeFacts {
  std::string_view name;
  size_t bytes;
};

constexpr std::array<TypeFacts, 13> kTypes = {{{"u8", 1},
                                               {"i8", 1},
                                               {"u16", 2},
                                               {"i16", 2},
                                               {"u32", 4},
                                               {"i32", 4},
                                               {"f32", 4},
                                               {"bool", 1},
                                               {"string", 0},
                                               {"array", 0},
                                               {"u64", 8},
                                               {"i64", 8},
                                               {"f64", 8}}};

template <typename Number>
double load(const std::byte* bytes) {
  Number number;
  std::memcpy(&number, bytes, sizeof number);
  return double(number);
}

// Line ends and other control characters made visible, cut at a character's border.
std::string displayText(std::string_view text, size_t maxLength) {
  std::string shown;
  for (const char c : validUtf8(text.substr(0, maxLength + 4))) {
    if (c == '\n') {
      shown += "\\n";
    } else if (static_cast<unsigned char>(c) < 32) {
      shown += ' ';
    } else {
      shown += c;
    }
  }
  if (shown.size() <= maxLength && text.size() <= maxLength) return shown;
  size_t end = std::min(shown.size(), maxLength);
  while (end > 0 && end < shown.size() && (shown[end] & 0xC0) == 0x80) --end;
  return shown.substr(0, end) + "…";
}

std::string displayArray(const MetaArray& array, size_t maxLength) {
  const size_t count = array.size();
  std::string text = "[";
  for (size_t i = 0; i < count; ++i) {
    if (text.size() >= maxLength) {
      return strCat(text, ", …] (", grouped(count), " × ", metaTypeName(array.type), ")");
    }
    if (i > 0) text += ", ";
    text += array.type == MetaType::String ? displayText(array.strings[i], maxLength)
                                           : strCat(array.number(i));
  }
  return text + "]";
}

}  // namespace

size_t elementBytes(MetaType type) {
  return size_t(type) < kTypes.size() ? kTypes[size_t(type)].bytes : 0;
}

std::string_view metaTypeName(MetaType type) {
  return size_t(type) < kTypes.size() ? kTypes[size_t(type)].name : "unknown";
}

size_t MetaArray::size() const {
  if (type == MetaType::String) return strings.size();
  const size_t width = elementBytes(type);
  return width == 0 ? 0 : numbers.size() / width;
}

double MetaArray::number(size_t index) const {
  CHECK(type != MetaType::String && index < size());
  const std::byte* bytes = &numbers[index * elementBytes(type)];
  switch (type) {
    case MetaType::U8:
    case MetaType::Bool:
      return load<uint8_t>(bytes);
    case MetaType::I8:
      return load<int8_t>(bytes);
    case MetaType::U16:
      return load<uint16_t>(bytes);
    case MetaType::I16:
      return load<int16_t>(bytes);
    case MetaType::U32:
      return load<uint32_t>(bytes);
    case MetaType::I32:
      return load<int32_t>(bytes);
    case MetaType::F32:
      return load<float>(bytes);
    case MetaType::U64:
      return load<uint64_t>(bytes);
    case MetaType::I64:
      return load<int64_t>(bytes);
    case MetaType::F64:
      return load<double>(bytes);
    case MetaType::String:
    case MetaType::Array:
      break;
  }
  return 0;
}

MetaValue MetaValue::u32(uint32_t value) { return {MetaType::U32, uint64_t{value}}; }
MetaValue MetaValue::boolean(bool value) { return {MetaType::Bool, value}; }
MetaValue MetaValue::f32(float value) { return {MetaType::F32, double(value)}; }
MetaValue MetaValue::string(std::string value) { return {MetaType::String, std::move(value)}; }
MetaValue MetaValue::stringArray(std::vector<std::string> values) {
  return {MetaType::Array, MetaArray{MetaType::String, {}, std::move(values)}};
}

std::string display(const MetaValue& value, size_t maxLength) {
  struct Show {
    size_t maxLength;
    std::string operator()(uint64_t number) const { return std::to_string(number); }
    std::string operator()(int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return strCat(number); }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(const std::string& text) const { return displayText(text, maxLength); }
    std::string operator()(const MetaArray& array) const { return displayArray(array, maxLength); }
  };
  return std::visit(Show{maxLength}, value.value);
}

const MetaValue* Metadata::find(std::string_view key) const {
  const auto found = std::find_if(m_entries.begin(), m_entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == m_entries.end() ? nullptr : &found->value;
}

void Metadata::set(std::string_view key, MetaValue value) {
  const auto found = std::find_if(m_entries.begin(), m_entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  if (found == m_entries.end()) {
    m_entries.push_back({std::string(key), std::move(value)});
  } else {
    found->value = std::move(value);
  }
}

void Metadata::append(std::string key, MetaValue value) {
  m_entries.push_back({std::move(key), std::move(value)});
}

void Metadata::erase(std::string_view key) {
  std::erase_if(m_entries, [&](const Entry& entry) { return entry.key == key; });
}

std::optional<uint64_t> Metadata::unsignedOf(std::string_view key) const {
  const MetaValue* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<uint64_t>(&entry->value)) return *number;
  const auto* number = std::get_if<int64_t>(&entry->value);
  return number != nullptr && *number >= 0 ? std::optional(uint64_t(*number)) : std::nullopt;
}

std::optional<double> Metadata::numberOf(std::string_view key) const {
  const MetaValue* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<uint64_t>(&entry->value)) return double(*number);
  if (const auto* number = std::get_if<int64_t>(&entry->value)) return double(*number);
  if (const auto* number = std::get_if<double>(&entry->value)) return *number;
  return std::nullopt;
}

std::optional<bool> Metadata::boolOf(std::string_view key) const {
  const MetaValue* entry = find(key);
  const auto* flag = entry == nullptr ? nullptr : std::get_if<bool>(&entry->value);
  return flag == nullptr ? std::nullopt : std::optional(*flag);
}

std::optional<std::string_view> Metadata::stringOf(std::string_view key) const {
  const MetaValue* entry = find(key);
  const auto* text = entry == nullptr ? nullptr : std::get_if<std::string>(&entry->value);
  return text == nullptr ? std::nullopt : std::optional<std::string_view>(*text);
}

const MetaArray* Metadata::arrayOf(std::string_view key) const {
  const MetaValue* entry = find(key);
  return entry == nullptr ? nullptr : std::get_if<MetaArray>(&entry->value);
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/gguf_header.h"

#include <bit>
#include <cstring>
#include <unordered_set>

#include "core/base/strings.h"

namespace bitloom {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");

constexpr size_t kMaxKeyBytes = 65535;  // GGUF specification
constexpr size_t kUsualNameBytes = 63;  // what llama.cpp accepts
constexpr size_t kMaxNameBytes = 1024;
constexpr uint64_t kMaxAlignment = 1u << 30;
constexpr uint64_t kMinPairBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& file)
      : m_bytes(bytes), m_file(file) {}

  Result<GgufHeader> parse();

 private:
  template <typename... Parts>
  Error corrupt(const Parts&... parts) const {
    return makeError(ErrorCode::Corrupt, m_file, ": ", parts..., ".");
  }
  uint64_t left() const { return m_bytes.size() - m_position; }

  template <typename Number>
  Result<Number> number(std::string_view what);
  Result<std::string_view> text(std::string_view what, uint64_t limit);
  Result<void> start(GgufHeader& header);
  Result<void> readPairs(GgufHeader& header, uint64_t count);
  Result<void> readTensors(GgufHeader& header, uint64_t count);
  Result<void> readAlignment(GgufHeader& header) const;
  Result<MetaValue> value(MetaType type, const std::string& key);
  Result<MetaArray> array(const std::string& key);
  Result<GgufTensorInfo> tensor(GgufHeader& header);
  Result<void> readShape(GgufTensorInfo& info);

  std::span<const std::byte> m_bytes;
  const std::string& m_file;
  size_t m_position = 0;
};

template <typename Number>
Result<Number> Parser::number(std::string_view what) {
  if (left() < sizeof(Number)) {
    return corrupt("the file ends at byte ", grouped(m_bytes.size()), ", within ", what);
  }
  Number value;
  std::memcpy(&value, &m_bytes[m_position], sizeof value);
  m_position += sizeof value;
  return value;
}

Result<std::string_view> Parser::text(std::string_view what, uint64_t limit) {
  TRY(const uint64_t length, number<uint64_t>(what));
  if (length > limit) {
    return corrupt(what, " is ", grouped(length), " bytes long; at most ", grouped(limit),
                   " are allowed");
  }
  if (length > left()) {
    return corrupt(what, " is ", grouped(length), " bytes long, but the file has only ",
                   grouped(left()), " bytes left");
  }
  const std::string_view text(reinterpret_cast<const char*>(m_bytes.data()) + m_position,
                              size_t(length));
  m_position += size_t(length);
  return text;
}

Result<GgufHeader> Parser::parse() {
  GgufHeader header;
  TRY(start(header));
  TRY(const uint64_t tensors, number<uint64_t>("the number of tensors"));
  TRY(const uint64_t pairs, number<uint64_t>("the number of keys"));
  if (pairs > left() / kMinPairBytes) {
    return corrupt("the header promises ", grouped(pairs), " keys, more than its ", grouped(left()),
                   " remaining bytes can hold");
  }
  TRY(readPairs(header, pairs));
  if (tensors > left() / kMinTensorBytes) {
    return corrupt("the header promises ", grouped(tensors), " tensors, more than its ",
                   grouped(left()), " remaining bytes can hold");
  }
  TRY(readAlignment(header));
  TRY(readTensors(header, tensors));
  header.dataBegin = (m_position + header.alignment - 1) / header.alignment * header.alignment;
  return header;
}

Result<void> Parser::start(GgufHeader& header) {
  if (m_bytes.empty()) return corrupt("the file is empty");
  if (left() < 4 || std::memcmp(m_bytes.data(), "GGUF", 4) != 0) {
    return makeError(ErrorCode::Unsupported, m_file,
                     " is not a GGUF file: it does not begin with the letters GGUF.");
  }
  m_position = 4;
  TRY(header.version, number<uint32_t>("the version"));
  const auto unsupported = [&](const auto&... parts) {
    return makeError(ErrorCode::Unsupported, m_file, ": ", parts..., ".");
  };
  // 2 or 3 with its bytes turned round.
  if (header.version == 0x02000000 || header.version == 0x03000000) {
    return unsupported("big-endian GGUF files are not supported");
  }
  if (header.version != 2 && header.version != 3) {
    return unsupported("GGUF version ", header.version, " is not supported, only 2 and 3 are");
  }
  return {};
}

Result<void> Parser::readPairs(GgufHeader& header, uint64_t count) {
  std::unordered_set<std::string> seen;
  for (uint64_t i = 0; i < count; ++i) {
    TRY(const std::string_view name, text(strCat("the name of key ", i + 1), kMaxKeyBytes));
    const std::string key = validUtf8(name);
    if (key.empty()) return corrupt("key ", i + 1, " has no name");
    if (key != name || key.find('\0') != std::string::npos) {
      return corrupt("the name of key ", i + 1, " is not text");
    }
    if (!seen.insert(key).second) return corrupt("key ", key, " appears twice");
    TRY(const uint32_t type, number<uint32_t>(strCat("the type of key ", key)));
    if (type > uint32_t(MetaType::F64)) {
      return corrupt("key ", key, " has the unknown type ", type);
    }
    TRY(MetaValue read, value(MetaType(type), key));
    header.metadata.append(key, std::move(read));
  }
  return {};
}

Result<MetaValue> Parser::value(MetaType type, const std::string& key) {
  const std::string what = strCat("the value of key ", key);
  const auto as = [&](auto raw) -> MetaValue { return {type, raw}; };
#define READ(Raw, Kept)                    \
  {                                        \
    TRY(const Raw raw, number<Raw>(what)); \
    return as(Kept{raw});                  \
  }
  switch (type) {
    case MetaType::U8:
      READ(uint8_t, uint64_t)
    case MetaType::U16:
      READ(uint16_t, uint64_t)
    case MetaType::U32:
      READ(uint32_t, uint64_t)
    case MetaType::U64:
      READ(uint64_t, uint64_t)
    case MetaType::I8:
      READ(int8_t, int64_t)
    case MetaType::I16:
      READ(int16_t, int64_t)
    case MetaType::I32:
      READ(int32_t, int64_t)
    case MetaType::I64:
      READ(int64_t, int64_t)
    case MetaType::F32:
      READ(float, double)
    case MetaType::F64:
      READ(double, double)
    case MetaType::Bool: {
      TRY(const uint8_t raw, number<uint8_t>(what));
      if (raw > 1) return corrupt("key ", key, " holds ", int(raw), ", which is not a bool");
      return as(raw == 1);
    }
    case MetaType::String: {
      TRY(const std::string_view read, text(what, left()));
      return MetaValue::string(std::string(read));
    }
    case MetaType::Array:
      break;
  }
#undef READ
  TRY(MetaArray read, array(key));
  return MetaValue{type, std::move(read)};
}

Result<MetaArray> Parser::array(const std::string& key) {
  TRY(const uint32_t type, number<uint32_t>(strCat("the element type of key ", key)));
  TRY(const uint64_t count, number<uint64_t>(strCat("the length of key ", key)));
  MetaArray array;
  array.type = MetaType(type);
  if (array.type == MetaType::Array) {
    return makeError(ErrorCode::Unsupported, m_file, ": key ", key,
                     " is an array of arrays, which is not supported.");
  }
  if (type > uint32_t(MetaType::F64)) {
    return corrupt("key ", key, " is an array of the unknown type ", type);
  }
  const bool isText = array.type == MetaType::String;
  const uint64_t each = isText ? 8 : elementBytes(array.type);
  if (count > left() / each) {
    return corrupt("key ", key, " promises ", grouped(count), " elements of ", each,
                   " bytes, but the file has only ", grouped(left()), " bytes left");
  }
  if (!isText) {
    const auto begin = m_bytes.begin() + std::ptrdiff_t(m_position);
    array.numbers.assign(begin, begin + std::ptrdiff_t(count * each));
    m_position += size_t(count * each);
    return array;
  }
  array.strings.reserve(size_t(count));
  const std::string what = strCat("an element of key ", key);
  for (uint64_t i = 0; i < count; ++i) {
    TRY(const std::string_view read, text(what, left()));
    array.strings.emplace_back(read);
  }
  return array;
}

Result<void> Parser::readAlignment(GgufHeader& header) const {
  constexpr std::string_view kKey = "general.alignment";
  if (header.metadata.find(kKey) == nullptr) return {};
  const std::optional<uint64_t> alignment = header.metadata.unsignedOf(kKey);
  if (!alignment || !std::has_single_bit(*alignment) || *alignment > kMaxAlignment) {
    return corrupt("key ", kKey, " is ", display(*header.metadata.find(kKey)),
                   ", which is not a power of two up to ", grouped(kMaxAlignment));
  }
  header.alignment = *alignment;
  return {};
}

Result<void> Parser::readTensors(GgufHeader& header, uint64_t count) {
  std::unordered_set<std::string> seen;
  header.tensors.reserve(size_t(count));
  for (uint64_t i = 0; i < count; ++i) {
    TRY(GgufTensorInfo info, tensor(header));
    if (!seen.insert(info.name).second) return corrupt("tensor ", info.name, " appears twice");
    header.tensors.push_back(std::move(info));
  }
  return {};
}

Result<GgufTensorInfo> Parser::tensor(GgufHeader& header) {
  const std::string ordinal = strCat("tensor ", header.tensors.size() + 1);
  GgufTensorInfo info;
  TRY(const std::string_view name, text(strCat("the name of ", ordinal), kMaxNameBytes));
  info.name = validUtf8(name);
  if (info.name.empty()) return corrupt(ordinal, " has no name");
  if (info.name != name || info.name.find('\0') != std::string::npos) {
    return corrupt("the name of ", ordinal, " is not text");
  }
  if (info.name.size() > kUsualNameBytes) {
    header.warnings.push_back(strCat(m_file, ": the name of tensor ", info.name, " has ",
                                     info.name.size(), " bytes; llama.cpp accepts at most ",
                                     kUsualNameBytes, "."));
  }
  TRY(readShape(info));
  TRY(info.type, number<uint32_t>(strCat("the type of tensor ", info.name)));
  TRY(info.offset, number<uint64_t>(strCat("the offset of tensor ", info.name)));
  if (info.offset % header.alignment != 0) {
    return corrupt("tensor ", info.name, " begins at offset ", grouped(info.offset),
                   ", which is not a multiple of the alignment ", header.alignment);
  }
  return info;
}

Result<void> Parser::readShape(GgufTensorInfo& info) {
  TRY(info.dimensions, number<uint32_t>(strCat("the dimensions of tensor ", info.name)));
  if (info.dimensions < 1 || info.dimensions > info.shape.size()) {
    return corrupt("tensor ", info.name, " has ", info.dimensions, " dimensions; 1 to ",
                   info.shape.size(), " are allowed");
  }
  uint64_t weights = 1;
  for (uint32_t i = 0; i < info.dimensions; ++i) {
    TRY(info.shape[i], number<uint64_t>(strCat("the shape of tensor ", info.name)));
    if (info.shape[i] == 0) {
      return corrupt("dimension ", i + 1, " of tensor ", info.name, " is zero");
    }
    uint64_t product = 0;
    if (__builtin_mul_overflow(weights, info.shape[i], &product) || product >> 63 != 0) {
      return corrupt("the shape of tensor ", info.name, " holds more than 2^63 weights");
    }
    weights = product;
  }
  return {};
}

}  // namespace

Result<GgufHeader> parseGgufHeader(std::span<const std::byte> bytes, const std::string& file) {
  return Parser(bytes, file).parse();
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/gguf_layout.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

#include "core/base/strings.h"
#include "core/io/sha256.h"

namespace bitloom {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr size_t kHashDigits = 64;
constexpr size_t kRecipeBase = 1024;         // bytes of a recipe without rules, generously
constexpr size_t kRecipePerTensor = 160;     // one exact-name rule with its reason
constexpr uint32_t kGuessedFileType = 1024;  // LLAMA_FTYPE_GUESSED: no number says what it is
constexpr std::string_view kOwnPrefix = "bitloom.";

// How a tensor is stored: by number, or as I8 with keys.
struct Storage {
  std::string_view type;
  const Codec* codec = nullptr;  // null: copied, type is all that is known
  const ProfileType* number = nullptr;
};

Storage storageOf(const Tensor& tensor, const Codec* effective, const RuntimeProfile& profile) {
  const Codec* codec = effective ? effective : tensor.codec;
  const std::string_view type = codec ? codec->name : std::string_view(tensor.type);
  return {type, codec, profile.find(type)};
}

uint64_t dataBytes(const Tensor& tensor, const Codec* effective) {
  return effective ? effective->rowBytes(tensor.rowLength()) * tensor.rows() : tensor.bytes.size();
}

uint64_t valueBytes(const MetaValue& value) {
  if (value.type == MetaType::String) return 8 + std::get<std::string>(value.value).size();
  if (value.type != MetaType::Array) return elementBytes(value.type);
  const MetaArray& array = std::get<MetaArray>(value.value);
  uint64_t bytes = 4 + 8 + array.numbers.size();
  for (const std::string& text : array.strings) bytes += 8 + text.size();
  return bytes;
}

uint64_t entryBytes(std::string_view key, const MetaValue& value) {
  return 8 + key.size() + 4 + valueBytes(value);
}

uint64_t infoBytes(const PlacedTensor& tensor) {
  return 8 + tensor.name.size() + 4 + 8 * uint64_t(tensor.dimensions) + 4 + 8;
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

// The recipe as the file keeps it: always the same number of bytes for a model.
std::string boundedRecipe(const std::string& json, size_t tensors) {
  const size_t capacity = kRecipeBase + kRecipePerTensor * tensors;
  if (json.size() <= capacity) return padded(json, capacity);
  return padded(strCat("{\"sha256\":\"", sha256Hex(json), "\",\"note\":\"The recipe has ",
                       json.size(), " bytes; only its SHA-256 is kept here.\"}"),
                capacity);
}

MetaValue unsigned64(uint64_t value) {
  MetaValue result;
  result.type = MetaType::U64;
  result.value = value;
  return result;
}

std::string codecKey(std::string_view tensor) { return strCat("bitloom.codec.", tensor); }
std::string rowKey(std::string_view tensor) { return strCat("bitloom.row_length.", tensor); }

uint64_t extraKeyBytes(const Tensor& tensor, std::string_view codec) {
  return entryBytes(codecKey(tensor.name), MetaValue::string(std::string(codec))) +
         entryBytes(rowKey(tensor.name), unsigned64(tensor.rowLength()));
}

// The file type of the storage that holds most 2-D weights.
uint32_t fileTypeOf(const Model& model, const Plan& plan, const RuntimeProfile& profile) {
  std::map<std::string_view, uint64_t> weights;
  for (const Choice& choice : plan.tensors) {
    const Tensor& tensor = model.tensors()[choice.tensor];
    if (tensor.dimensions < 2) continue;
    weights[storageOf(tensor, choice.effective, profile).type] += tensor.weights();
  }
  const auto most =
      std::max_element(weights.begin(), weights.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const ProfileType* type = most == weights.end() ? nullptr : profile.find(most->first);
  return type && type->fileType ? *type->fileType : kGuessedFileType;
}

// What Bitloom says about the file; every value's length is fixed for a model and a profile, but
// for the keys of tensors that are stored as I8.
Metadata ownEntries(const Model& model, const Plan& plan, const RuntimeProfile& profile,
                    std::string_view calibrationHash) {
  Metadata own;
  own.set("general.file_type", MetaValue::u32(fileTypeOf(model, plan, profile)));
  own.set("general.quantization_version", MetaValue::u32(2));
  own.set("bitloom.version", MetaValue::string(BITLOOM_VERSION));
  own.set("bitloom.profile", MetaValue::string(plan.profile));
  own.set("bitloom.source_fingerprint",
          MetaValue::string(padded(model.fingerprint(), kHashDigits)));
  own.set("bitloom.plan_hash", MetaValue::string(padded(plan.hash, kHashDigits)));
  own.set("bitloom.calibration",
          MetaValue::string(padded(std::string(calibrationHash.empty() ? "none" : calibrationHash),
                                   kHashDigits)));
  own.set("bitloom.recipe",
          MetaValue::string(boundedRecipe(plan.recipeJson, model.tensors().size())));
  for (const Choice& choice : plan.tensors) {
    const Tensor& tensor = model.tensors()[choice.tensor];
    const Storage storage = storageOf(tensor, choice.effective, profile);
    if (storage.number) continue;
    own.set(codecKey(tensor.name), MetaValue::string(std::string(storage.type)));
    own.set(rowKey(tensor.name), unsigned64(tensor.rowLength()));
  }
  return own;
}

bool isKept(std::string_view key) {
  return !key.starts_with("split.") && !key.starts_with(kOwnPrefix);
}

uint64_t metadataBytes(const Model& model, const Metadata& own) {
  uint64_t bytes = 0;
  for (const Metadata::Entry& entry : model.metadata().entries()) {
    if (isKept(entry.key) && !own.find(entry.key)) bytes += entryBytes(entry.key, entry.value);
  }
  for (const Metadata::Entry& entry : own.entries()) bytes += entryBytes(entry.key, entry.value);
  return bytes;
}

// --- bytes ---

template <typename T>
void append(std::string& out, T value) {
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void appendText(std::string& out, std::string_view text) {
  append<uint64_t>(out, text.size());
  out.append(text);
}

// Scalars are kept as the widest type of their kind.
double asDouble(const MetaValue& value) {
  return std::visit(
      [](const auto& v) -> double {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>) return double(v);
        return 0;
      },
      value.value);
}

uint64_t asBits(const MetaValue& value) {
  return std::visit(
      [](const auto& v) -> uint64_t {
        using V = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<V, double>) return std::bit_cast<uint64_t>(v);
        if constexpr (std::is_integral_v<V>) return uint64_t(v);
        return 0;
      },
      value.value);
}

void appendValue(std::string& out, const MetaValue& value) {
  switch (value.type) {
    case MetaType::String:
      return appendText(out, std::get<std::string>(value.value));
    case MetaType::Array: {
      const MetaArray& array = std::get<MetaArray>(value.value);
      append(out, uint32_t(array.type));
      append<uint64_t>(out, array.size());
      out.append(reinterpret_cast<const char*>(array.numbers.data()), array.numbers.size());
      for (const std::string& text : array.strings) appendText(out, text);
      return;
    }
    case MetaType::F32:
      return append(out, float(asDouble(value)));
    case MetaType::F64:
      return append(out, asDouble(value));
    default: {
      // Integers and bools: the low bytes of the two's complement.
      const uint64_t bits = asBits(value);
      out.append(reinterpret_cast<const char*>(&bits), elementBytes(value.type));
    }
  }
}

}  // namespace

uint64_t roundUp(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

uint64_t alignmentOf(const Model& model) {
  return model.metadata().unsignedOf("general.alignment").value_or(kDefaultAlignment);
}

uint64_t tensorShare(const Tensor& tensor, const Codec& codec, const RuntimeProfile& profile,
                     uint64_t alignment) {
  const uint64_t keys = profile.find(codec.name) ? 0 : extraKeyBytes(tensor, codec.name);
  return roundUp(dataBytes(tensor, &codec), alignment) + keys;
}

uint64_t copyShare(const Tensor& tensor, const RuntimeProfile& profile, uint64_t alignment) {
  const Storage storage = storageOf(tensor, nullptr, profile);
  const uint64_t keys = storage.number ? 0 : extraKeyBytes(tensor, storage.type);
  return roundUp(dataBytes(tensor, nullptr), alignment) + keys;
}

Result<FileLayout> layoutOf(const Model& model, const Plan& plan) {
  const RuntimeProfile* profile = findProfile(plan.profile);
  if (!profile) {
    return makeError(ErrorCode::InvalidArgument, "There is no runtime profile named \"",
                     plan.profile, "\".");
  }
  FileLayout layout;
  layout.alignment = alignmentOf(model);
  uint64_t offset = 0;
  uint64_t infos = 0;
  for (const Choice& choice : plan.tensors) {
    const Tensor& source = model.tensors()[choice.tensor];
    const Storage storage = storageOf(source, choice.effective, *profile);
    if (!storage.number && !storage.codec) {
      return makeError(ErrorCode::Unsupported, source.name, " is stored as ", source.type,
                       ", which profile ", plan.profile,
                       " has no number for and Bitloom cannot decode.");
    }
    PlacedTensor tensor{source.name,
                        source.shape,
                        source.dimensions,
                        storage.number ? storage.number->id : kGgmlI8,
                        offset,
                        dataBytes(source, choice.effective),
                        !storage.number};
    if (tensor.bitloomOnly) tensor.shape[0] = storage.codec->rowBytes(source.rowLength());
    offset += roundUp(tensor.bytes, layout.alignment);
    infos += infoBytes(tensor);
    layout.tensors.push_back(std::move(tensor));
  }
  constexpr uint64_t kFixed = 4 + 4 + 8 + 8;  // magic, version, two counts
  layout.headerBytes = kFixed + metadataBytes(model, ownEntries(model, plan, *profile, {})) + infos;
  layout.dataStart = roundUp(layout.headerBytes, layout.alignment);
  layout.fileBytes = layout.dataStart + offset;
  return layout;
}

Metadata outputMetadata(const Model& model, const Plan& plan, std::string_view calibrationHash) {
  const RuntimeProfile* profile = findProfile(plan.profile);
  CHECK(profile);
  const Metadata own = ownEntries(model, plan, *profile, calibrationHash);
  Metadata result;
  for (const Metadata::Entry& entry : model.metadata().entries()) {
    if (isKept(entry.key)) result.set(entry.key, entry.value);
  }
  for (const Metadata::Entry& entry : own.entries()) result.set(entry.key, entry.value);
  return result;
}

std::string headerBytes(const Metadata& metadata, std::span<const PlacedTensor> tensors) {
  std::string out = "GGUF";
  append<uint32_t>(out, 3);
  append<uint64_t>(out, tensors.size());
  append<uint64_t>(out, metadata.entries().size());
  for (const Metadata::Entry& entry : metadata.entries()) {
    appendText(out, entry.key);
    append(out, uint32_t(entry.value.type));
    appendValue(out, entry.value);
  }
  for (const PlacedTensor& tensor : tensors) {
    appendText(out, tensor.name);
    append<uint32_t>(out, tensor.dimensions);
    for (uint32_t d = 0; d < tensor.dimensions; ++d) append(out, tensor.shape[d]);
    append(out, tensor.type);
    append(out, tensor.offset);
  }
  return out;
}

}  // namespace bitloom

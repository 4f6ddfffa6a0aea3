// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/gguf_reader.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>
#include <unordered_set>

#include "core/base/strings.h"
#include "core/io/gguf_types.h"
#include "core/io/sha256.h"

namespace bitloom {
namespace {

constexpr size_t kSampleBytes = 32 << 10;  // from each end of a tensor, for the fingerprint
constexpr uint64_t kMaxWeightsPerByte = 256;

std::string fileName(const std::filesystem::path& path) {
  return validUtf8(path.filename().string());
}

struct SplitName {
  std::string prefix;
  uint64_t part = 0;  // counted from 1
  uint64_t count = 0;
};

std::optional<uint64_t> fiveDigits(std::string_view text) {
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + uint64_t(c - '0');
  }
  return value;
}

// "<prefix>-00002-of-00003.gguf"
std::optional<SplitName> parseSplitName(const std::string& name) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";
  if (name.size() <= kForm.size()) return std::nullopt;
  const std::string_view tail = std::string_view(name).substr(name.size() - kForm.size());
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf") {
    return std::nullopt;
  }
  const auto part = fiveDigits(tail.substr(1, 5));
  const auto count = fiveDigits(tail.substr(10, 5));
  if (!part || !count) return std::nullopt;
  return SplitName{name.substr(0, name.size() - kForm.size()), *part, *count};
}

std::string splitFileName(const std::string& prefix, uint64_t part, uint64_t count) {
  const auto five = [](uint64_t number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
  };
  return strCat(prefix, "-", five(part), "-of-", five(count), ".gguf");
}

// Bytes from each tensor's begin to the next begin, or to the end of the data.
Result<std::vector<uint64_t>> tensorSpans(const GgufHeader& header, uint64_t fileBytes,
                                          const std::string& file) {
  const uint64_t dataBytes = fileBytes > header.dataBegin ? fileBytes - header.dataBegin : 0;
  std::set<uint64_t> borders;
  for (const GgufTensorInfo& info : header.tensors) {
    if (info.offset >= dataBytes) {
      return makeError(ErrorCode::Corrupt, file, ": tensor ", info.name, " begins at byte ",
                       grouped(info.offset), " of the data, which has only ", grouped(dataBytes),
                       " bytes.");
    }
    borders.insert(info.offset);
  }
  borders.insert(dataBytes);
  std::vector<uint64_t> spans;
  spans.reserve(header.tensors.size());
  for (const GgufTensorInfo& info : header.tensors) {
    spans.push_back(*borders.upper_bound(info.offset) - info.offset);
  }
  return spans;
}

Tensor makeTensor(const GgufTensorInfo& info, const GgufLayout& layout,
                  std::span<const std::byte> data) {
  Tensor tensor;
  tensor.name = info.name;
  tensor.shape = info.shape;
  tensor.dimensions = info.dimensions;
  tensor.type = layout.name;
  const uint64_t rowBytes = tensor.rowLength() / layout.blockWeights * layout.blockBytes;
  const Codec* codec = findCodec(layout.name);
  if (codec != nullptr && codec->rowBytes(tensor.rowLength()) == rowBytes) tensor.codec = codec;
  tensor.bytes = data.subspan(size_t(info.offset), size_t(rowBytes * tensor.rows()));
  return tensor;
}

// A codec without a number of its own lies in rows of I8; two keys tell what the rows are.
Result<void> restoreCodec(Tensor& tensor, const Metadata& metadata, const std::string& file) {
  if (tensor.type != "i8") return {};
  const auto name = metadata.stringOf("bitloom.codec." + tensor.name);
  if (!name) return {};
  const std::string lengthKey = "bitloom.row_length." + tensor.name;
  const auto rowLength = metadata.unsignedOf(lengthKey);
  const uint64_t rowBytes = tensor.rowLength();
  if (!rowLength || *rowLength == 0 || *rowLength / kMaxWeightsPerByte > rowBytes) {
    return makeError(ErrorCode::Corrupt, file, ": the key ", lengthKey,
                     " is missing or is not a length of a row of ", grouped(rowBytes), " bytes.");
  }
  const Codec* codec = findCodec(*name);
  if (codec != nullptr && codec->rowBytes(*rowLength) != rowBytes) {
    return makeError(ErrorCode::Corrupt, file, ": tensor ", tensor.name, " has rows of ",
                     grouped(rowBytes), " bytes, but ", grouped(*rowLength), " weights of ",
                     codec->name, " take ", grouped(codec->rowBytes(*rowLength)), ".");
  }
  tensor.type = validUtf8(*name);
  tensor.codec = codec;
  tensor.shape[0] = *rowLength;
  return {};
}

Result<void> checkNoOverlap(std::span<const Tensor> tensors, const std::string& file,
                            std::vector<std::string>& warnings, uint64_t alignment) {
  std::vector<const Tensor*> order(tensors.size());
  std::transform(tensors.begin(), tensors.end(), order.begin(), [](const Tensor& t) { return &t; });
  std::sort(order.begin(), order.end(),
            [](const Tensor* a, const Tensor* b) { return a->bytes.data() < b->bytes.data(); });
  bool warned = false;
  for (size_t i = 1; i < order.size(); ++i) {
    const std::byte* end = order[i - 1]->bytes.data() + order[i - 1]->bytes.size();
    const std::byte* begin = order[i]->bytes.data();
    if (begin < end) {
      return makeError(ErrorCode::Corrupt, file, ": tensors ", order[i - 1]->name, " and ",
                       order[i]->name, " overlap by ",
                       grouped(std::min(uint64_t(end - begin), order[i]->bytes.size())), " bytes.");
    }
    if (uint64_t(begin - end) >= alignment && !warned) {
      warned = true;
      warnings.push_back(strCat(file, ": ", grouped(uint64_t(begin - end)),
                                " unused bytes lie before tensor ", order[i]->name,
                                "; llama.cpp refuses such a file."));
    }
  }
  return {};
}

struct Part {
  MappedFile file;
  GgufHeader header;
};

Result<Part> openPart(const std::filesystem::path& path) {
  TRY(MappedFile file, MappedFile::open(path));
  TRY(GgufHeader header, parseGgufHeader(file.bytes(), fileName(path)));
  return Part{std::move(file), std::move(header)};
}

uint64_t splitCount(const GgufHeader& header) {
  return header.metadata.unsignedOf("split.count").value_or(0);
}

// All parts of the set that `given` belongs to, in order; the given one is not opened twice.
Result<std::vector<Part>> openSet(Part given, const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const uint64_t count = splitCount(given.header);
  const auto number = given.header.metadata.unsignedOf("split.no");
  const auto split = parseSplitName(name);
  if (!split || split->count != count || number != split->part - 1) {
    return makeError(ErrorCode::Corrupt, fileName(path), " is part ",
                     number ? std::to_string(*number + 1) : "?", " of a set of ", count,
                     " files, but is not named so (",
                     splitFileName("NAME", number.value_or(0) + 1, count), ").");
  }
  std::vector<Part> parts;
  for (uint64_t i = 1; i <= count; ++i) {
    if (i == split->part) {
      parts.push_back(std::move(given));
      continue;
    }
    const std::string partName = splitFileName(split->prefix, i, count);
    Result<Part> part = openPart(path.parent_path() / partName);
    if (!part && part.error().code == ErrorCode::NotFound) {
      return makeError(ErrorCode::NotFound, validUtf8(partName), ", part ", i, " of ", count,
                       " of the set, is missing.");
    }
    if (!part) return std::move(part.error());
    const Metadata& metadata = part->header.metadata;
    if (splitCount(part->header) != count || metadata.unsignedOf("split.no") != i - 1) {
      return makeError(ErrorCode::Corrupt, validUtf8(partName), " does not say that it is part ", i,
                       " of ", count, ": the set is mixed up.");
    }
    parts.push_back(*std::move(part));
  }
  return parts;
}

Result<void> checkSet(const Model& model, const Metadata& first, const std::string& file) {
  std::unordered_set<std::string_view> names;
  for (const Tensor& tensor : model.tensors()) {
    if (!names.insert(tensor.name).second) {
      return makeError(ErrorCode::Corrupt, file, ": tensor ", tensor.name,
                       " is in more than one part of the set.");
    }
  }
  const auto promised = first.unsignedOf("split.tensors.count");
  if (promised && *promised != model.tensors().size()) {
    return makeError(ErrorCode::Corrupt, file, ": the set has ", model.tensors().size(),
                     " tensors, but split.tensors.count says ", *promised, ".");
  }
  return {};
}

void hashTensor(Sha256& hash, const Tensor& tensor) {
  hash.update(strCat(tensor.name, "\n", tensor.bytes.size(), "\n"));
  if (tensor.bytes.size() <= 2 * kSampleBytes) {
    hash.update(tensor.bytes);
  } else {
    hash.update(tensor.bytes.first(kSampleBytes));
    hash.update(tensor.bytes.last(kSampleBytes));
  }
}

}  // namespace

Result<void> GgufReader::addPart(Model& model, MappedFile file, const GgufHeader& header) {
  const std::string name = fileName(file.path());
  const std::span<const std::byte> bytes = file.bytes();
  TRY(const std::vector<uint64_t> spans, tensorSpans(header, bytes.size(), name));
  TRY(const std::vector<GgufLayout> layouts,
      tellLayouts(header, spans, model.m_metadata, name, model.m_warnings));
  const size_t firstTensor = model.m_tensors.size();
  for (size_t i = 0; i < header.tensors.size(); ++i) {
    const GgufTensorInfo& info = header.tensors[i];
    const std::span<const std::byte> data = bytes.subspan(size_t(header.dataBegin));
    const uint64_t rows = info.shape[1] * info.shape[2] * info.shape[3];
    const uint64_t size = info.shape[0] / layouts[i].blockWeights * layouts[i].blockBytes * rows;
    if (size > data.size() - info.offset) {
      const uint64_t begin = header.dataBegin + info.offset;
      return makeError(ErrorCode::Corrupt, name, ": tensor ", info.name, " needs ", grouped(size),
                       " bytes from byte ", grouped(begin), ", past the end of the file (",
                       grouped(bytes.size()), ").");
    }
    Tensor tensor = makeTensor(info, layouts[i], data);
    TRY(restoreCodec(tensor, model.m_metadata, name));
    model.m_tensors.push_back(std::move(tensor));
  }
  TRY(checkNoOverlap(std::span(model.m_tensors).subspan(firstTensor), name, model.m_warnings,
                     header.alignment));
  model.m_fileBytes += bytes.size();
  const uint64_t headerBytes = std::min<uint64_t>(header.dataBegin, bytes.size());
  model.m_parts.push_back(
      std::make_unique<Model::Mapping>(Model::Mapping{std::move(file), headerBytes}));
  return {};
}

Result<std::shared_ptr<const Model>> GgufReader::open(const std::filesystem::path& path) {
  TRY(Part given, openPart(path));
  std::vector<Part> parts;
  const bool isSet = splitCount(given.header) > 1;
  if (isSet) {
    TRY(parts, openSet(std::move(given), path));
  } else {
    parts.push_back(std::move(given));
  }

  const std::shared_ptr<Model> model(new Model);
  model->m_path = path;
  model->m_metadata = parts[0].header.metadata;
  for (Part& part : parts) {
    model->m_warnings.insert(model->m_warnings.end(), part.header.warnings.begin(),
                             part.header.warnings.end());
    TRY(addPart(*model, std::move(part.file), part.header));
  }
  TRY(checkSet(*model, parts[0].header.metadata, fileName(path)));
  for (const std::string_view key : {"split.no", "split.count", "split.tensors.count"}) {
    model->m_metadata.erase(key);
  }

  Sha256 hash;
  for (const auto& part : model->m_parts) {
    hash.update(part->file.bytes().first(size_t(part->headerBytes)));
    hash.update(strCat("\n", part->file.bytes().size(), "\n"));
  }
  for (const Tensor& tensor : model->m_tensors) hashTensor(hash, tensor);
  model->m_fingerprint = hash.hex();
  return std::shared_ptr<const Model>(model);
}

}  // namespace bitloom

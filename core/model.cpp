// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model.h"

#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "core/io/gguf_reader.h"

namespace bitloom {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  }
  return result;
}

void decode(const Codec& codec, std::span<const std::byte> bytes, uint64_t rowLength,
            uint64_t first, uint64_t count, float* out) {
  const size_t rowBytes = size_t(codec.rowBytes(rowLength));
  CHECK(rowBytes > 0 && (first + count) * rowBytes <= bytes.size());
  for (uint64_t i = 0; i < count; ++i) {
    codec.decode(bytes.subspan(size_t(first + i) * rowBytes, rowBytes),
                 {out + i * rowLength, size_t(rowLength)});
  }
}

}  // namespace

Model::Model() = default;
Model::~Model() = default;

Result<std::shared_ptr<const Model>> Model::open(const std::filesystem::path& path) {
  return GgufReader::open(path);
}

void Model::release(const Tensor& tensor) const {
  CHECK(indexOf(tensor) < m_tensors.size());
  MappedFile::release(tensor.bytes);
}

std::string Model::name() const {
  const auto named = m_metadata.stringOf("general.name");
  if (named && !named->empty()) return validUtf8(*named);
  return validUtf8(m_path.stem().string());
}

const Tensor* Model::find(std::string_view name) const {
  const auto found = std::find_if(m_tensors.begin(), m_tensors.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  return found == m_tensors.end() ? nullptr : &*found;
}

uint64_t Model::weights() const {
  uint64_t sum = 0;
  for (const Tensor& tensor : m_tensors) sum += tensor.weights();
  return sum;
}

double Model::bitsPerWeight() const {
  uint64_t bytes = 0;
  for (const Tensor& tensor : m_tensors) bytes += tensor.bytes.size();
  return m_tensors.empty() ? 0 : double(bytes) * 8 / double(weights());
}

std::string Model::sourceLabel() const {
  std::map<std::string, uint64_t> weightsOf;
  for (const Tensor& tensor : m_tensors) {
    if (tensor.dimensions >= 2) weightsOf[tensor.type] += tensor.weights();
  }
  if (weightsOf.empty()) return "no weights";
  const auto most =
      std::max_element(weightsOf.begin(), weightsOf.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const std::string& type = most->first;
  const Codec* codec = findCodec(type);
  const std::string title = codec != nullptr ? std::string(codec->title) : upper(type);
  const bool isFloat = type == "f32" || type == "f16" || type == "bf16" || type == "f64";
  return isFloat ? title : title + " (already quantized)";
}

void decodeRows(const Tensor& tensor, uint64_t first, uint64_t count, float* out) {
  CHECK(tensor.codec != nullptr);
  decode(*tensor.codec, tensor.bytes, tensor.rowLength(), first, count, out);
}

void decodeRows(const Encoded& encoded, uint64_t first, uint64_t count, float* out) {
  CHECK(encoded.codec != nullptr);
  decode(*encoded.codec, encoded.bytes, encoded.rowLength, first, count, out);
}

}  // namespace bitloom

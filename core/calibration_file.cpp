// SPDX-License-Identifier: GPL-3.0-or-later
// Calibration ↔ llama.cpp imatrix files.
//
// GGUF form: general.type "imatrix", imatrix.datasets (strings), imatrix.chunk_count and
// imatrix.chunk_size (u32); for each weight two F32 tensors, `<name>.in_sum2` [columns, matrices]
// with Σx² and `<name>.counts` [1, matrices] with the number of tokens. `matrices` is 1 except in
// mixtures of experts, which are not read yet. Of ours, and not read by others: where moments were
// gathered, `<name>.moments` and `<name>.held_moments` [columns, columns], for the first weight of
// each input, and bitloom.moments, "weight=first weight" for each weight.
//
// Older form (.dat), little-endian: i32 entries; for each {i32 length, name, i32 calls, i32
// columns, f32[columns] = mean of x² × calls}; then, optionally, i32 last chunk, i32 length,
// dataset.
#include <cmath>
#include <cstring>

#include "core/base/strings.h"
#include "core/calibration.h"
#include "core/io/gguf_layout.h"
#include "core/io/whole_file.h"
#include "core/model.h"

namespace bitloom {
namespace {

constexpr std::string_view kSumSuffix = ".in_sum2";
constexpr std::string_view kCountSuffix = ".counts";
constexpr std::string_view kMomentsSuffix = ".moments";
constexpr std::string_view kHeldSuffix = ".held_moments";
constexpr std::string_view kMomentsKey = "bitloom.moments";
constexpr std::string_view kType = "imatrix";
constexpr uint32_t kGgmlF32 = 0;
constexpr uint64_t kAlignment = 32;

// Header and data of the tensors, in the order in which they are added.
class TensorFile {
 public:
  void add(const std::string& name, std::span<const float> values, uint32_t columns) {
    PlacedTensor tensor;
    tensor.name = name;
    tensor.shape = {columns, values.size() / columns, 1, 1};
    tensor.dimensions = 2;
    tensor.type = kGgmlF32;
    tensor.offset = m_data.size();
    tensor.bytes = values.size_bytes();
    m_tensors.push_back(tensor);
    m_data.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    m_data.resize(roundUp(m_data.size(), kAlignment));
  }

  std::string bytes(const Metadata& metadata) const {
    std::string file = headerBytes(metadata, m_tensors);
    file.resize(roundUp(file.size(), kAlignment));
    return file + m_data;
  }

 private:
  std::vector<PlacedTensor> m_tensors;
  std::string m_data;
};

std::vector<float> floatsOf(const Tensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), values.size() * sizeof(float));
  return values;
}

Result<void> checkSums(const std::filesystem::path& path, std::string_view name,
                       const TensorStatistics& statistics) {
  for (size_t i = 0; i < statistics.sumSquares.size(); ++i) {
    const float value = statistics.sumSquares[i];
    if (std::isfinite(value) && value >= 0) continue;
    return makeError(ErrorCode::Corrupt, path.string(), ": ", validUtf8(name),
                     ": the sum of column ", i, " is ", value, ", which no sum of squares can be.");
  }
  return {};
}

Result<TensorStatistics> readEntry(const Model& file, const std::string& weight,
                                   const Tensor& sums) {
  const std::string where = strCat(file.path().string(), ": ", validUtf8(weight));
  const Tensor* counts = file.find(strCat(weight, kCountSuffix));
  if (counts == nullptr) {
    return makeError(ErrorCode::Corrupt, where, ": has ", kSumSuffix, " but no ", kCountSuffix,
                     ".");
  }
  if (sums.type != "f32" || counts->type != "f32") {
    return makeError(ErrorCode::Unsupported, where, ": is stored as ", sums.type, " and ",
                     counts->type, "; an imatrix holds f32.");
  }
  if (sums.rows() != 1 || counts->weights() != 1) {
    return makeError(ErrorCode::Unsupported, where, ": has statistics of ", sums.rows(),
                     " experts; only one matrix can be read.");
  }
  const double count = double(floatsOf(*counts).front());
  if (!(count >= 0 && count < 1e15)) {
    return makeError(ErrorCode::Corrupt, where, ": counts ", count, " tokens.");
  }
  TensorStatistics statistics;
  statistics.sumSquares = floatsOf(sums);
  statistics.tokens = uint64_t(std::llround(count));
  return statistics;
}

Result<std::shared_ptr<const Moments>> readMoments(const Model& file, const std::string& weight) {
  const Tensor* used = file.find(strCat(weight, kMomentsSuffix));
  const Tensor* held = file.find(strCat(weight, kHeldSuffix));
  const auto isSquare = [](const Tensor* tensor) {
    return tensor != nullptr && tensor->type == "f32" && tensor->rows() == tensor->rowLength();
  };
  if (!isSquare(used) || !isSquare(held) || used->shape != held->shape) {
    return makeError(ErrorCode::Corrupt, file.path().string(), ": ", validUtf8(weight),
                     ": has no two square matrices of moments.");
  }
  auto moments = std::make_shared<Moments>();
  moments->columns = used->rowLength();
  moments->used = floatsOf(*used);
  moments->held = floatsOf(*held);
  for (const std::vector<float>* matrix : {&moments->used, &moments->held}) {
    for (const float value : *matrix) {
      if (std::isfinite(value)) continue;
      return makeError(ErrorCode::Corrupt, file.path().string(), ": ", validUtf8(weight),
                       ": a moment is ", value, ".");
    }
  }
  return std::shared_ptr<const Moments>(std::move(moments));
}

// Those of one input are read once.
Result<void> readAllMoments(const Model& file, Calibration& calibration) {
  const MetaArray* list = file.metadata().arrayOf(kMomentsKey);
  std::map<std::string, std::shared_ptr<const Moments>> known;
  for (size_t i = 0; list != nullptr && i < list->strings.size(); ++i) {
    const std::string& pair = list->strings[i];
    const size_t equals = pair.find('=');
    const auto found = calibration.tensors.find(pair.substr(0, equals));
    if (equals == std::string::npos || found == calibration.tensors.end()) {
      return makeError(ErrorCode::Corrupt, file.path().string(), ": ", kMomentsKey, " names ",
                       validUtf8(pair), ", which has no sums.");
    }
    const std::string owner = pair.substr(equals + 1);
    if (!known.contains(owner)) {
      TRY(known[owner], readMoments(file, owner));
    }
    if (known[owner]->columns != found->second.sumSquares.size()) {
      return makeError(ErrorCode::Corrupt, file.path().string(), ": ", validUtf8(pair), ": has ",
                       known[owner]->columns, " columns of moments and ",
                       found->second.sumSquares.size(), " sums.");
    }
    found->second.moments = known[owner];
  }
  return {};
}

Result<Calibration> loadGguf(const std::filesystem::path& path) {
  TRY(const auto file, Model::open(path));
  const auto type = file->metadata().stringOf("general.type");
  if (!type || *type != kType) {
    return makeError(ErrorCode::Unsupported, path.string(),
                     ": is a GGUF file but no imatrix; its general.type is ",
                     type ? strCat('"', validUtf8(*type), '"') : "absent", ".");
  }
  Calibration result;
  for (const Tensor& tensor : file->tensors()) {
    if (!tensor.name.ends_with(kSumSuffix)) continue;
    const std::string weight = tensor.name.substr(0, tensor.name.size() - kSumSuffix.size());
    TRY(TensorStatistics statistics, readEntry(*file, weight, tensor));
    TRY(checkSums(path, weight, statistics));
    result.tensors[weight] = std::move(statistics);
  }
  TRY(readAllMoments(*file, result));
  const MetaArray* datasets = file->metadata().arrayOf("imatrix.datasets");
  if (datasets != nullptr && !datasets->strings.empty()) result.dataset = datasets->strings[0];
  result.chunks = uint32_t(file->metadata().unsignedOf("imatrix.chunk_count").value_or(0));
  result.chunkTokens = uint32_t(file->metadata().unsignedOf("imatrix.chunk_size").value_or(0));
  return result;
}

// Reads front to back and remembers whether it ever ran past the end.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : m_rest(bytes) {}
  bool failed() const { return m_failed; }
  bool atEnd() const { return m_rest.empty(); }

  int32_t number() {
    int32_t value = 0;
    const std::string_view part = text(sizeof value);
    if (!m_failed) std::memcpy(&value, part.data(), sizeof value);
    return value;
  }

  std::string_view text(int64_t length) {
    if (m_failed || length < 0 || uint64_t(length) > m_rest.size()) {
      m_failed = true;
      return {};
    }
    const std::string_view part = m_rest.substr(0, size_t(length));
    m_rest.remove_prefix(size_t(length));
    return part;
  }

 private:
  std::string_view m_rest;
  bool m_failed = false;
};

Result<Calibration> loadLegacy(const std::filesystem::path& path, std::string_view bytes) {
  Cursor cursor(bytes);
  Calibration result;
  const int32_t entries = cursor.number();
  for (int32_t entry = 0; entry < entries && !cursor.failed(); ++entry) {
    const std::string name(cursor.text(cursor.number()));
    const int32_t calls = cursor.number();
    const std::string_view values = cursor.text(int64_t{cursor.number()} * int64_t{sizeof(float)});
    if (cursor.failed() || calls < 0 || name.empty()) break;
    // The file has lost the number of tokens; with calls in its place the mean is right.
    TensorStatistics& statistics = result.tensors[name];
    statistics.tokens = uint64_t(calls);
    statistics.sumSquares.resize(values.size() / sizeof(float));
    if (!values.empty()) std::memcpy(statistics.sumSquares.data(), values.data(), values.size());
    TRY(checkSums(path, name, statistics));
  }
  if (entries <= 0 || cursor.failed() || result.tensors.size() != size_t(entries)) {
    return makeError(ErrorCode::Corrupt, path.string(), ": is no imatrix file: ", bytes.size(),
                     " bytes that are neither GGUF nor ", entries, " entries of the older form.");
  }
  if (!cursor.atEnd()) {
    result.chunks = uint32_t(std::max(0, cursor.number()));
    result.dataset = cursor.text(cursor.number());
  }
  return result;
}

}  // namespace

Result<void> saveCalibration(const Calibration& calibration, const std::filesystem::path& path) {
  Metadata metadata;
  metadata.set("general.type", MetaValue::string(std::string(kType)));
  metadata.set("imatrix.datasets", MetaValue::stringArray({validUtf8(calibration.dataset)}));
  metadata.set("imatrix.chunk_count", MetaValue::u32(calibration.chunks));
  metadata.set("imatrix.chunk_size", MetaValue::u32(calibration.chunkTokens));
  TensorFile file;
  std::map<const Moments*, std::string> owners;
  std::vector<std::string> pairs;
  for (const auto& [name, statistics] : calibration.tensors) {
    if (statistics.sumSquares.empty()) continue;
    const float count = float(statistics.tokens);
    file.add(strCat(name, kSumSuffix), statistics.sumSquares,
             uint32_t(statistics.sumSquares.size()));
    file.add(strCat(name, kCountSuffix), {&count, 1}, 1);
    const Moments* moments = statistics.moments.get();
    if (moments == nullptr) continue;
    if (owners.emplace(moments, name).second) {
      file.add(strCat(name, kMomentsSuffix), moments->used, uint32_t(moments->columns));
      file.add(strCat(name, kHeldSuffix), moments->held, uint32_t(moments->columns));
    }
    pairs.push_back(strCat(name, "=", owners.at(moments)));
  }
  if (!pairs.empty()) metadata.set(std::string(kMomentsKey), MetaValue::stringArray(pairs));
  return writeWholeFile(path, file.bytes(metadata));
}

Result<Calibration> loadCalibration(const std::filesystem::path& path) {
  TRY(const std::string bytes, readWholeFile(path));
  Calibration result;
  if (bytes.starts_with("GGUF")) {
    TRY(result, loadGguf(path));
  } else {
    TRY(result, loadLegacy(path, bytes));
  }
  if (result.tensors.empty()) {
    return makeError(ErrorCode::Corrupt, path.string(), ": holds no statistics.");
  }
  result.hash = hashOf(result);
  return result;
}

}  // namespace bitloom

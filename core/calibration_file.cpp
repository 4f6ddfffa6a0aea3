// SPDX-License-Identifier: GPL-3.0-or-later
// Calibration ↔ llama.cpp imatrix files.
//
// GGUF form: general.type "imatrix", imatrix.datasets (strings), imatrix.chunk_count and
// imatrix.chunk_size (u32); for each weight two F32 tensors, `<name>.in_sum2` [columns, matrices]
// with Σx² and `<name>.counts` [1, matrices] with the number of tokens. `matrices` is 1 except in
// mixtures of experts, which are not read yet. Of ours, and passed over by others:
// `<name>.in_sum_abs` and `<name>.in_max_abs` with Σ|x| and max|x|; bitloom.sources, for each
// dataset "chunks hash stratum"; bitloom.shingles (u64). Where moments were gathered,
// `<name>.moments` and
// `<name>.held_moments` [columns, columns] for the first weight of each input, bitloom.moments,
// "weight=first weight" for each weight, and bitloom.moments_tokens, how many tokens were used and
// held (u64).
//
// Older form (.dat), little-endian: i32 entries; for each {i32 length, name, i32 calls, i32
// columns, f32[columns] = mean of x² × calls}; then, optionally, i32 last chunk, i32 length,
// dataset.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "core/base/strings.h"
#include "core/calibration_writer.h"
#include "core/io/whole_file.h"
#include "core/model.h"

namespace bitloom {
namespace {

using namespace calibration_file;

std::span<const float> viewOf(const Tensor& tensor) {
  return {reinterpret_cast<const float*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(float)};
}

std::vector<float> floatsOf(const Tensor& tensor) {
  const auto view = viewOf(tensor);
  return {view.begin(), view.end()};
}

Result<void> checkSums(const std::filesystem::path& path, std::string_view name,
                       const TensorStatistics& statistics) {
  for (const auto* sums : {&statistics.sumSquares, &statistics.sumSizes, &statistics.largest}) {
    for (size_t i = 0; i < sums->size(); ++i) {
      const float value = (*sums)[i];
      if (std::isfinite(value) && value >= 0) continue;
      return makeError(ErrorCode::Corrupt, path.string(), ": ", validUtf8(name),
                       ": the sum of column ", i, " is ", value,
                       ", which no sum of squares or sizes can be.");
    }
  }
  return {};
}

// Of the same columns as `sums`; empty when the file has none.
Result<std::vector<float>> readColumns(const Model& file, const std::string& weight,
                                       std::string_view suffix, const Tensor& sums) {
  const Tensor* tensor = file.find(strCat(weight, suffix));
  if (tensor == nullptr) return std::vector<float>();
  if (tensor->type != "f32" || tensor->shape != sums.shape) {
    return makeError(ErrorCode::Corrupt, file.path().string(), ": ", validUtf8(weight), suffix,
                     ": is not of the shape of ", kSumSuffix, ".");
  }
  return floatsOf(*tensor);
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
  TRY(statistics.sumSizes, readColumns(file, weight, kSizeSuffix, sums));
  TRY(statistics.largest, readColumns(file, weight, kLargestSuffix, sums));
  return statistics;
}

// Mapped: the file stays open for as long as they are used.
Result<std::shared_ptr<const Moments>> readMoments(const std::shared_ptr<const Model>& file,
                                                   const std::string& weight) {
  const Tensor* used = file->find(strCat(weight, kMomentsSuffix));
  const Tensor* held = file->find(strCat(weight, kHeldSuffix));
  const auto isSquare = [](const Tensor* tensor) {
    return tensor != nullptr && tensor->type == "f32" && tensor->rows() == tensor->rowLength();
  };
  if (!isSquare(used) || !isSquare(held) || used->shape != held->shape) {
    return makeError(ErrorCode::Corrupt, file->path().string(), ": ", validUtf8(weight),
                     ": has no two square matrices of moments.");
  }
  auto moments = std::make_shared<Moments>();
  moments->columns = used->rowLength();
  moments->used = viewOf(*used);
  moments->held = viewOf(*held);
  moments->storage = file;
  const MetaArray* tokens = file->metadata().arrayOf(kMomentTokensKey);
  if (tokens != nullptr && tokens->size() == 2) {
    moments->usedTokens = uint64_t(std::max(0.0, tokens->number(0)));
    moments->heldTokens = uint64_t(std::max(0.0, tokens->number(1)));
  }
  return std::shared_ptr<const Moments>(std::move(moments));
}

// Those of one input are read once.
Result<void> readAllMoments(const std::shared_ptr<const Model>& file, Calibration& calibration) {
  const MetaArray* list = file->metadata().arrayOf(kMomentsKey);
  std::map<std::string, std::shared_ptr<const Moments>> known;
  for (size_t i = 0; list != nullptr && i < list->strings.size(); ++i) {
    const std::string& pair = list->strings[i];
    const size_t equals = pair.find('=');
    const auto found = calibration.tensors.find(pair.substr(0, equals));
    if (equals == std::string::npos || found == calibration.tensors.end()) {
      return makeError(ErrorCode::Corrupt, file->path().string(), ": ", kMomentsKey, " names ",
                       validUtf8(pair), ", which has no sums.");
    }
    const std::string owner = pair.substr(equals + 1);
    if (!known.contains(owner)) {
      TRY(known[owner], readMoments(file, owner));
    }
    if (known[owner]->columns != found->second.sumSquares.size()) {
      return makeError(ErrorCode::Corrupt, file->path().string(), ": ", validUtf8(pair), ": has ",
                       known[owner]->columns, " columns of moments and ",
                       found->second.sumSquares.size(), " sums.");
    }
    found->second.moments = known[owner];
  }
  return {};
}

// "chunks hash stratum" beside the name of each dataset; other programs write the names alone.
std::vector<CalibrationSource> readSources(const Metadata& metadata) {
  std::vector<CalibrationSource> sources;
  const MetaArray* files = metadata.arrayOf(kDatasetsKey);
  const MetaArray* entries = metadata.arrayOf(kSourcesKey);
  for (size_t i = 0; files != nullptr && i < files->strings.size(); ++i) {
    CalibrationSource source{.stratum = "text", .file = files->strings[i], .hash = {}};
    if (entries != nullptr && i < entries->strings.size()) {
      const std::string& entry = entries->strings[i];
      const size_t hash = std::min(entry.find(' '), entry.size());
      const size_t stratum = std::min(entry.find(' ', hash + 1), entry.size());
      source.chunks = uint32_t(std::strtoul(entry.c_str(), nullptr, 10));
      if (hash < entry.size()) source.hash = entry.substr(hash + 1, stratum - hash - 1);
      if (stratum < entry.size()) source.stratum = entry.substr(stratum + 1);
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

std::vector<uint64_t> readShingles(const Metadata& metadata) {
  const MetaArray* array = metadata.arrayOf(kShinglesKey);
  if (array == nullptr || array->type != MetaType::U64) return {};
  std::vector<uint64_t> shingles(array->numbers.size() / sizeof(uint64_t));
  if (!shingles.empty())
    std::memcpy(shingles.data(), array->numbers.data(), shingles.size() * sizeof(uint64_t));
  std::sort(shingles.begin(), shingles.end());
  return shingles;
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
  TRY(readAllMoments(file, result));
  result.sources = readSources(file->metadata());
  result.shingles = readShingles(file->metadata());
  result.chunks = uint32_t(file->metadata().unsignedOf(kChunksKey).value_or(0));
  result.chunkTokens = uint32_t(file->metadata().unsignedOf(kChunkTokensKey).value_or(0));
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
    result.sources = {{.stratum = "text",
                       .file = std::string(cursor.text(cursor.number())),
                       .hash = {},
                       .chunks = result.chunks}};
  }
  return result;
}

template <typename T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string legacyBytes(const Calibration& calibration) {
  const auto entries =
      std::count_if(calibration.tensors.begin(), calibration.tensors.end(),
                    [](const auto& entry) { return !entry.second.sumSquares.empty(); });
  // Programs divide by the number of calls and want it to be more than none.
  const int32_t calls = int32_t(std::max(1U, calibration.chunks));
  std::string bytes;
  append(bytes, int32_t(entries));
  for (const auto& [name, statistics] : calibration.tensors) {
    if (statistics.sumSquares.empty()) continue;
    append(bytes, int32_t(name.size()));
    bytes += name;
    append(bytes, calls);
    append(bytes, int32_t(statistics.sumSquares.size()));
    for (const float mean : statistics.importance()) append(bytes, mean * float(calls));
  }
  std::string files;
  for (const CalibrationSource& source : calibration.sources)
    files += (files.empty() ? "" : ", ") + source.file;
  append(bytes, int32_t(calibration.chunks));
  append(bytes, int32_t(files.size()));
  return bytes + files;
}

MomentsOutline momentsOutlineOf(const Calibration& calibration,
                                std::vector<const Moments*>& matrices) {
  MomentsOutline outline;
  for (const auto& [name, statistics] : calibration.tensors) {
    const Moments* moments = statistics.moments.get();
    if (moments == nullptr || statistics.sumSquares.empty()) continue;
    const auto found = std::find(matrices.begin(), matrices.end(), moments);
    const size_t index = size_t(found - matrices.begin());
    if (found == matrices.end()) {
      matrices.push_back(moments);
      outline.inputs.push_back({moments->columns, {}});
      outline.usedTokens = moments->usedTokens;
      outline.heldTokens = moments->heldTokens;
    }
    outline.inputs[index].weights.push_back(name);
  }
  return outline;
}

Result<bool> isGguf(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  if (!file) {
    return makeError(ErrorCode::NotFound, path.string(), " cannot be read: ", std::strerror(errno),
                     ".");
  }
  file.read(magic, sizeof magic);
  return std::string_view(magic, sizeof magic) == "GGUF";
}

}  // namespace

Result<void> saveCalibration(const Calibration& calibration, const std::filesystem::path& path) {
  if (path.extension() == ".dat") return writeWholeFile(path, legacyBytes(calibration));
  std::vector<const Moments*> matrices;
  const MomentsOutline moments = momentsOutlineOf(calibration, matrices);
  TRY(auto writer, CalibrationWriter::create(path, calibration, moments));
  for (const Moments* each : matrices) TRY(writer.add(*each));
  return writer.finish(calibration);
}

Result<Calibration> loadCalibration(const std::filesystem::path& path) {
  Calibration result;
  TRY(const bool gguf, isGguf(path));
  if (gguf) {
    TRY(result, loadGguf(path));
  } else {
    TRY(const std::string bytes, readWholeFile(path));
    TRY(result, loadLegacy(path, bytes));
  }
  if (result.tensors.empty()) {
    return makeError(ErrorCode::Corrupt, path.string(), ": holds no statistics.");
  }
  result.hash = hashOf(result);
  return result;
}

}  // namespace bitloom

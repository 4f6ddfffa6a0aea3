// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration_writer.h"

#include <cstring>

#include "core/base/strings.h"

namespace bitloom {
namespace {

using namespace calibration_file;

constexpr uint32_t kGgmlF32 = 0;
constexpr uint64_t kAlignment = 32;

MetaValue u64Array(std::span<const uint64_t> values) {
  MetaArray array{.type = MetaType::U64, .numbers = {}, .strings = {}};
  const auto bytes = std::as_bytes(values);
  array.numbers.assign(bytes.begin(), bytes.end());
  return {MetaType::Array, std::move(array)};
}

Metadata metadataOf(const Calibration& outline, const MomentsOutline& moments) {
  Metadata metadata;
  std::vector<std::string> files, sources, pairs;
  for (const CalibrationSource& source : outline.sources) {
    files.push_back(validUtf8(source.file));
    sources.push_back(strCat(source.chunks, " ", source.hash, " ", validUtf8(source.stratum)));
  }
  for (const MomentsOutline::Input& input : moments.inputs) {
    for (const std::string& weight : input.weights)
      pairs.push_back(strCat(weight, "=", input.weights.front()));
  }
  metadata.set("general.type", MetaValue::string(std::string(kType)));
  metadata.set(kDatasetsKey, MetaValue::stringArray(std::move(files)));
  metadata.set(kChunksKey, MetaValue::u32(outline.chunks));
  metadata.set(kChunkTokensKey, MetaValue::u32(outline.chunkTokens));
  if (!sources.empty()) metadata.set(kSourcesKey, MetaValue::stringArray(std::move(sources)));
  if (!outline.shingles.empty()) metadata.set(kShinglesKey, u64Array(outline.shingles));
  if (pairs.empty()) return metadata;
  metadata.set(kMomentsKey, MetaValue::stringArray(std::move(pairs)));
  const uint64_t tokens[] = {moments.usedTokens, moments.heldTokens};
  metadata.set(kMomentTokensKey, u64Array(tokens));
  return metadata;
}

class Places {
 public:
  void add(std::string name, size_t columns, size_t rows) {
    PlacedTensor tensor;
    tensor.name = std::move(name);
    tensor.shape = {columns, rows, 1, 1};
    tensor.dimensions = 2;
    tensor.type = kGgmlF32;
    tensor.offset = m_end;
    tensor.bytes = columns * rows * sizeof(float);
    m_end = roundUp(m_end + tensor.bytes, kAlignment);
    m_tensors.push_back(std::move(tensor));
  }
  uint64_t end() const { return m_end; }
  std::vector<PlacedTensor> take() { return std::move(m_tensors); }

 private:
  std::vector<PlacedTensor> m_tensors;
  uint64_t m_end = 0;
};

// What a weight has beside its counts, under its names.
template <typename Visit>
void forEachSum(const TensorStatistics& statistics, const Visit& visit) {
  const std::pair<std::string_view, const std::vector<float>*> parts[] = {
      {kSumSuffix, &statistics.sumSquares},
      {kSizeSuffix, &statistics.sumSizes},
      {kLargestSuffix, &statistics.largest}};
  for (const auto& [suffix, values] : parts) {
    if (!values->empty()) visit(suffix, *values);
  }
}

}  // namespace

Result<CalibrationWriter> CalibrationWriter::create(const std::filesystem::path& path,
                                                    const Calibration& outline,
                                                    const MomentsOutline& moments) {
  Places places;
  for (const MomentsOutline::Input& input : moments.inputs) {
    for (const std::string_view suffix : {kMomentsSuffix, kHeldSuffix})
      places.add(strCat(input.weights.front(), suffix), input.columns, input.columns);
  }
  for (const auto& [name, statistics] : outline.tensors) {
    if (statistics.sumSquares.empty()) continue;
    forEachSum(statistics, [&](std::string_view suffix, const std::vector<float>& values) {
      places.add(strCat(name, suffix), values.size(), 1);
    });
    places.add(strCat(name, kCountSuffix), 1, 1);
  }
  const uint64_t end = places.end();
  std::vector<PlacedTensor> tensors = places.take();
  std::string header = headerBytes(metadataOf(outline, moments), tensors);
  header.resize(roundUp(header.size(), kAlignment));
  TRY(OutputFile file, OutputFile::create(path));
  TRY(file.require(header.size() + end));
  TRY(file.write(std::as_bytes(std::span(header))));
  return CalibrationWriter(std::move(file), std::move(tensors));
}

Result<void> CalibrationWriter::write(std::span<const float> values) {
  CHECK(m_next < m_tensors.size() && m_tensors[m_next].bytes == values.size_bytes());
  ++m_next;
  TRY(m_file.write(std::as_bytes(values)));
  const std::vector<std::byte> padding(roundUp(values.size_bytes(), kAlignment) -
                                       values.size_bytes());
  return m_file.write(padding);
}

Result<void> CalibrationWriter::add(const Moments& moments) {
  TRY(write(moments.used));
  return write(moments.held);
}

Result<void> CalibrationWriter::finish(const Calibration& calibration) {
  for (const auto& [name, statistics] : calibration.tensors) {
    if (statistics.sumSquares.empty()) continue;
    Result<void> written;
    forEachSum(statistics, [&](std::string_view, const std::vector<float>& values) {
      if (written) written = write(values);
    });
    TRY(written);
    const float count = float(statistics.tokens);
    TRY(write({&count, 1}));
  }
  CHECK(m_next == m_tensors.size());
  return m_file.commit();
}

}  // namespace bitloom

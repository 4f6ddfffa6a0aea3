// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>

#include "core/base/strings.h"
#include "core/calibration_writer.h"

namespace bitloom {
namespace {

// Sums that one of the two has not are not known of both.
void addSums(std::vector<float>& sums, const std::vector<float>& more) {
  if (sums.size() != more.size()) return sums.clear();
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
}

Result<void> addTensor(TensorStatistics& sum, const TensorStatistics& more,
                       const std::string& name) {
  if (sum.sumSquares.size() != more.sumSquares.size()) {
    return makeError(ErrorCode::InvalidArgument, name, ": one calibration has ",
                     sum.sumSquares.size(), " columns and another ", more.sumSquares.size(),
                     "; they are not of one model.");
  }
  addSums(sum.sumSquares, more.sumSquares);
  addSums(sum.sumSizes, more.sumSizes);
  if (sum.largest.size() != more.largest.size()) {
    sum.largest.clear();
  } else {
    for (size_t i = 0; i < sum.largest.size(); ++i)
      sum.largest[i] = std::max(sum.largest[i], more.largest[i]);
  }
  sum.tokens += more.tokens;
  return {};
}

Result<Calibration> sumOf(std::span<const Calibration> parts) {
  Calibration sum;
  for (const Calibration& part : parts) {
    for (const auto& [name, statistics] : part.tensors) {
      TensorStatistics plain = statistics;
      plain.moments = nullptr;
      const auto [entry, fresh] = sum.tensors.emplace(name, std::move(plain));
      if (!fresh) {
        TRY(addTensor(entry->second, statistics, name));
      }
    }
    sum.sources.insert(sum.sources.end(), part.sources.begin(), part.sources.end());
    sum.shingles.insert(sum.shingles.end(), part.shingles.begin(), part.shingles.end());
    sum.chunks += part.chunks;
    sum.chunkTokens = std::max(sum.chunkTokens, part.chunkTokens);
  }
  std::sort(sum.shingles.begin(), sum.shingles.end());
  sum.shingles.erase(std::unique(sum.shingles.begin(), sum.shingles.end()), sum.shingles.end());
  return sum;
}

// Inputs are those of the first part, which all must share.
Result<MomentsOutline> momentsOf(const Calibration& sum, std::span<const Calibration> parts) {
  MomentsOutline outline;
  const auto complete = [&](const Calibration& part) {
    return part.tensors.size() == sum.tensors.size() && part.hasMoments();
  };
  if (!std::all_of(parts.begin(), parts.end(), complete)) return outline;
  std::map<const Moments*, size_t> known;
  for (const auto& [name, statistics] : parts.front().tensors) {
    const Moments* moments = statistics.moments.get();
    const auto [entry, fresh] = known.emplace(moments, outline.inputs.size());
    if (fresh) outline.inputs.push_back({moments->columns, {}});
    outline.inputs[entry->second].weights.push_back(name);
  }
  for (const Calibration& part : parts) {
    const Moments& moments = *part.tensors.begin()->second.moments;
    outline.usedTokens += moments.usedTokens;
    outline.heldTokens += moments.heldTokens;
  }
  return outline;
}

std::vector<float> meanOf(std::span<const Calibration> parts, const std::string& weight,
                          std::span<const float> Moments::*matrix, uint64_t Moments::*tokens) {
  double total = 0;
  for (const Calibration& part : parts) total += double((*part.find(weight)->moments).*tokens);
  std::vector<float> mean;
  for (const Calibration& part : parts) {
    const Moments& moments = *part.find(weight)->moments;
    const float share = total > 0 ? float(double(moments.*tokens) / total) : 0;
    mean.resize((moments.*matrix).size());
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += share * (moments.*matrix)[i];
  }
  return mean;
}

}  // namespace

Result<void> mergeCalibrations(std::span<const Calibration> parts,
                               const std::filesystem::path& path, JobContext& job) {
  CHECK(!parts.empty());
  TRY(const Calibration sum, sumOf(parts));
  if (path.extension() == ".dat") return saveCalibration(sum, path);
  TRY(const MomentsOutline outline, momentsOf(sum, parts));
  TRY(auto writer, CalibrationWriter::create(path, sum, outline));
  job.begin(outline.inputs.size(), "inputs");
  for (const MomentsOutline::Input& input : outline.inputs) {
    TRY(job.checkpoint());
    const std::string& weight = input.weights.front();
    TRY(writer.add(*Moments::of(input.columns,
                                meanOf(parts, weight, &Moments::used, &Moments::usedTokens),
                                meanOf(parts, weight, &Moments::held, &Moments::heldTokens))));
    job.advance();
  }
  return writer.finish(sum);
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Writes a calibration as a GGUF file, tensor by tensor: moments as they come, then the sums. What
// the file holds and how large it is must be known at the start; core/calibration_file.cpp says how
// it is laid out.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/calibration.h"
#include "core/io/gguf_layout.h"
#include "core/io/output_file.h"

namespace bitloom {

// The moments that a file will hold, in the order in which they are added.
struct MomentsOutline {
  struct Input {
    size_t columns = 0;
    std::vector<std::string> weights;  // that read it; the first gives it its name
  };
  std::vector<Input> inputs;
  uint64_t usedTokens = 0;
  uint64_t heldTokens = 0;
};

class CalibrationWriter {
 public:
  // Of `outline.tensors` only the sizes of the vectors count. Checks that the disk has room.
  static Result<CalibrationWriter> create(const std::filesystem::path& path,
                                          const Calibration& outline,
                                          const MomentsOutline& moments);
  // The next input's.
  Result<void> add(const Moments& moments);
  // `calibration`: as the outline, with its numbers. The file appears.
  Result<void> finish(const Calibration& calibration);

 private:
  CalibrationWriter(OutputFile file, std::vector<PlacedTensor> tensors)
      : m_file(std::move(file)), m_tensors(std::move(tensors)) {}
  Result<void> write(std::span<const float> values);

  OutputFile m_file;
  std::vector<PlacedTensor> m_tensors;
  size_t m_next = 0;
};

// Names of what a file holds for each weight, and of keys.
namespace calibration_file {
constexpr std::string_view kSumSuffix = ".in_sum2";
constexpr std::string_view kCountSuffix = ".counts";
constexpr std::string_view kSizeSuffix = ".in_sum_abs";
constexpr std::string_view kLargestSuffix = ".in_max_abs";
constexpr std::string_view kMomentsSuffix = ".moments";
constexpr std::string_view kHeldSuffix = ".held_moments";
constexpr std::string_view kType = "imatrix";
constexpr std::string_view kDatasetsKey = "imatrix.datasets";
constexpr std::string_view kChunksKey = "imatrix.chunk_count";
constexpr std::string_view kChunkTokensKey = "imatrix.chunk_size";
constexpr std::string_view kMomentsKey = "bitloom.moments";
constexpr std::string_view kMomentTokensKey = "bitloom.moments_tokens";
constexpr std::string_view kSourcesKey = "bitloom.sources";
constexpr std::string_view kShinglesKey = "bitloom.shingles";
}  // namespace calibration_file

}  // namespace bitloom

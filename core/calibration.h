// SPDX-License-Identifier: GPL-3.0-or-later
// What a model's linear ops see on a calibration text: for each weight and input column the sum of
// squares Σx² (the diagonal of XXᵀ), kept and exchanged as a llama.cpp imatrix GGUF file
// (tensors `<name>.in_sum2` and `<name>.counts`).
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/job.h"
#include "kernels/base/result.h"

namespace bitloom {

class Variant;
class Tokenizer;

// E[x·xᵀ] of a linear op's input, columns × columns, symmetric. Tokens of more than a hundred times
// the median energy count as if they had that much: attention sinks would drown all others.
struct Moments {
  size_t columns = 0;
  std::vector<float> used;
  std::vector<float> held;  // of text that is kept apart, to judge by: a tenth of the chunks
};

struct TensorStatistics {
  std::vector<float> sumSquares;  // Σ over tokens of x_j², one per input column
  uint64_t tokens = 0;
  std::shared_ptr<const Moments> moments;  // null: not gathered; tensors of one input share them

  // E[x_j²] with column order of the weight; all ones when nothing was counted.
  std::vector<float> importance() const;
};

struct Calibration {
  std::map<std::string, TensorStatistics> tensors;  // by weight name
  std::string dataset;                              // file name of the text
  uint32_t chunks = 0;
  uint32_t chunkTokens = 0;
  std::string hash;  // SHA-256 of the numbers: cache key

  const TensorStatistics* find(const std::string& tensor) const;
};

// SHA-256 of names, counts and sums: what `Calibration::hash` holds.
std::string hashOf(const Calibration& calibration);

struct CalibrateOptions {
  uint32_t chunkTokens = 512;
  uint32_t maxChunks = 32;
  std::string dataset;
  bool moments = false;  // gather Σx·xᵀ too; needs two chunks
};

Result<Calibration> calibrate(const Variant& variant, const Tokenizer& tokenizer,
                              const std::string& text, const CalibrateOptions& options,
                              JobContext& job);
Result<void> saveCalibration(const Calibration& calibration, const std::filesystem::path& path);
// Reads llama.cpp's older imatrix format (.dat) too.
Result<Calibration> loadCalibration(const std::filesystem::path& path);

}  // namespace bitloom

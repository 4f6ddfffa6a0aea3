// SPDX-License-Identifier: GPL-3.0-or-later
// What a model's linear ops see on a calibration text: for each weight and input column Σx² (the
// diagonal of XXᵀ), Σ|x| and max|x|, and, where asked for, the moments E[x·xᵀ] of each input. Kept
// and exchanged as llama.cpp's imatrix GGUF, with what is ours beside it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/job.h"
#include "core/corpus.h"
#include "kernels/base/result.h"

namespace bitloom {

class Variant;
class Tokenizer;

// E[x·xᵀ] of a linear op's input, columns × columns, symmetric, row-major. Tokens of more than a
// hundred times the median energy count as if they had that much: attention sinks would drown all
// others. `held` is of text that is kept apart, to judge by: a tenth of the chunks.
struct Moments {
  size_t columns = 0;
  std::span<const float> used;
  std::span<const float> held;
  uint64_t usedTokens = 0;
  uint64_t heldTokens = 0;
  std::shared_ptr<const void> storage;  // of both: floats in memory, or a mapped file

  // Both hold columns² floats.
  static std::shared_ptr<const Moments> of(size_t columns, std::vector<float> used,
                                           std::vector<float> held, uint64_t usedTokens = 1,
                                           uint64_t heldTokens = 1);
};

struct TensorStatistics {
  std::vector<float> sumSquares;  // Σ over tokens of x_j², one per input column
  uint64_t tokens = 0;
  std::vector<float> sumSizes;             // Σ|x_j|; empty: not known (an imatrix of others)
  std::vector<float> largest;              // max|x_j|; empty: not known
  std::shared_ptr<const Moments> moments;  // null: not gathered; tensors of one input share them

  // E[x_j²] with column order of the weight; all ones when nothing was counted.
  std::vector<float> importance() const;
};

// A text that was calibrated on.
struct CalibrationSource {
  std::string stratum;
  std::string file;
  std::string hash;  // hashOf(CorpusPart); "" when not known
  uint32_t chunks = 0;
};

struct Calibration {
  std::map<std::string, TensorStatistics> tensors;  // by weight name
  std::vector<CalibrationSource> sources;
  uint32_t chunks = 0;
  uint32_t chunkTokens = 0;
  std::vector<uint64_t> shingles;  // of the text that was read (core/corpus.h)
  std::string hash;                // what hashOf gives: cache key

  const TensorStatistics* find(const std::string& tensor) const;
  bool hasMoments() const;  // of every tensor
};

// SHA-256 of names, counts and sums, and of the first 64 KiB of each matrix of moments.
std::string hashOf(const Calibration& calibration);

struct CalibrateOptions {
  uint32_t chunkTokens = 512;
  uint32_t maxChunks = 32;  // of all parts together, one each in turn; 0: all
  bool moments = false;     // gather E[x·xᵀ] too; needs two chunks
};

// Block by block, all chunks through one before the next: beside the chunks' hidden states, memory
// holds the sums of one block. Moments stay in memory.
Result<Calibration> calibrate(const Variant& variant, const Tokenizer& tokenizer,
                              std::span<const CorpusPart> corpus, const CalibrateOptions& options,
                              JobContext& job);

// The same into a file: the moments of a block are written and forgotten when it is through. What
// comes back is mapped from the file. Nothing is there under `path` before all is.
Result<Calibration> calibrateInto(const std::filesystem::path& path, const Variant& variant,
                                  const Tokenizer& tokenizer, std::span<const CorpusPart> corpus,
                                  const CalibrateOptions& options, JobContext& job);

// Statistics as if all texts had been one. Moments are those of the tokens of all parts, and are
// there when every part has them. Tensors that one part lacks are those of the others; the error
// names a tensor of two widths.
Result<void> mergeCalibrations(std::span<const Calibration> parts,
                               const std::filesystem::path& path, JobContext& job);

// A path that ends in .dat gives llama.cpp's older format, which holds mean squares alone.
Result<void> saveCalibration(const Calibration& calibration, const std::filesystem::path& path);
// Reads both. Moments are mapped, and read when they are used.
Result<Calibration> loadCalibration(const std::filesystem::path& path);

}  // namespace bitloom

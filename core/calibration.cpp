// SPDX-License-Identifier: GPL-3.0-or-later
// Column sums are kept in f64 and each column is summed over tokens in their order, by one thread,
// so that the numbers do not depend on the number of threads.
#include "core/calibration.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/inference/forward.h"
#include "core/inference/tokenizer.h"
#include "core/io/sha256.h"
#include "core/variant.h"

namespace bitloom {
namespace {

constexpr size_t kGrainColumns = 128;
constexpr size_t kHeadRows = 64;  // at a time: their logits are computed and thrown away

struct Sums {
  std::vector<double> squares;
  uint64_t tokens = 0;
};

void accumulate(Sums& sums, const Matrix& input, JobContext& job) {
  sums.squares.resize(input.cols);
  sums.tokens += input.rows;
  job.parallelFor(input.cols, kGrainColumns, [&](size_t begin, size_t end) {
    for (size_t row = 0; row < input.rows; ++row) {
      const float* x = input.row(row);
      for (size_t column = begin; column < end; ++column) {
        sums.squares[column] += double(x[column]) * double(x[column]);
      }
    }
  });
}

Result<std::vector<TokenId>> chunksOf(const Tokenizer& tokenizer, const std::string& text,
                                      const CalibrateOptions& options) {
  const size_t length = options.chunkTokens;
  if (length == 0) return makeError(ErrorCode::InvalidArgument, "A chunk of 0 tokens is empty.");
  std::vector<TokenId> tokens = tokenizer.encodeWithBos(text, false);
  if (tokens.size() < length) {
    return makeError(ErrorCode::InvalidArgument,
                     options.dataset.empty() ? "The calibration text" : options.dataset, ": has ",
                     tokens.size(), " tokens, and one chunk needs ", length, ".");
  }
  size_t chunks = tokens.size() / length;
  if (options.maxChunks > 0) chunks = std::min<size_t>(chunks, options.maxChunks);
  tokens.resize(chunks * length);
  if (tokenizer.addsBos() && tokenizer.bos()) {
    for (size_t chunk = 0; chunk < chunks; ++chunk) tokens[chunk * length] = *tokenizer.bos();
  }
  return tokens;
}

}  // namespace

std::string hashOf(const Calibration& calibration) {
  Sha256 hash;
  for (const auto& [name, statistics] : calibration.tensors) {
    hash.update(name);
    const uint64_t sizes[] = {statistics.sumSquares.size(), statistics.tokens};
    hash.update(std::as_bytes(std::span(sizes)));
    hash.update(std::as_bytes(std::span(statistics.sumSquares)));
  }
  return hash.hex();
}

std::vector<float> TensorStatistics::importance() const {
  std::vector<float> result(sumSquares.size(), 1.0F);
  if (tokens == 0) return result;
  const auto count = float(tokens);
  for (size_t i = 0; i < result.size(); ++i) result[i] = sumSquares[i] / count;
  return result;
}

const TensorStatistics* Calibration::find(const std::string& tensor) const {
  const auto found = tensors.find(tensor);
  return found == tensors.end() ? nullptr : &found->second;
}

Result<Calibration> calibrate(const Variant& variant, const Tokenizer& tokenizer,
                              const std::string& text, const CalibrateOptions& options,
                              JobContext& job) {
  TRY(const std::vector<TokenId> tokens, chunksOf(tokenizer, text, options));
  const size_t length = options.chunkTokens;
  Forward forward(variant);
  const int blocks = int(forward.graph().blocks);
  std::map<size_t, Sums> sums;  // by tensor
  const LinearTap tap = [&](size_t tensor, const Matrix& input) {
    accumulate(sums[tensor], input, job);
  };
  const std::vector<Segment> segments = {{.tokens = options.chunkTokens}};
  std::vector<uint32_t> rows(length);
  for (size_t row = 0; row < length; ++row) rows[row] = uint32_t(row);

  job.begin(tokens.size(), "tokens");
  for (size_t first = 0; first < tokens.size(); first += length) {
    const auto chunk = std::span(tokens).subspan(first, length);
    TRY(Matrix stream, forward.embed(chunk, job));
    for (int block = 0; block < blocks; ++block) {
      TRY(job.checkpoint());
      TRY(forward.blocks(block, block + 1, stream, segments, job, tap));
    }
    for (size_t row = 0; row < length; row += kHeadRows) {
      TRY(job.checkpoint());
      const size_t count = std::min(kHeadRows, length - row);
      TRY(forward.head(stream, std::span(rows).subspan(row, count), job, tap));
    }
    job.advance(length);
  }

  Calibration result;
  for (const auto& [tensor, sum] : sums) {
    TensorStatistics& statistics = result.tensors[variant.model().tensors()[tensor].name];
    statistics.tokens = sum.tokens;
    statistics.sumSquares.assign(sum.squares.begin(), sum.squares.end());
  }
  result.dataset = options.dataset;
  result.chunks = uint32_t(tokens.size() / length);
  result.chunkTokens = options.chunkTokens;
  result.hash = hashOf(result);
  return result;
}

}  // namespace bitloom

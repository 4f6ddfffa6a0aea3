// SPDX-License-Identifier: GPL-3.0-or-later
// Column sums are kept in f64 and each column is summed over tokens in their order, by one thread,
// so that the numbers do not depend on the number of threads.
#include "core/calibration.h"

#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/inference/forward.h"
#include "core/inference/tokenizer.h"
#include "core/io/sha256.h"
#include "core/variant.h"
#include "kernels/cpu/kernels.h"

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

constexpr size_t kHeldOut = 10;       // one chunk of so many, and at least one
constexpr float kMostEnergy = 100;    // of a token, times the median
constexpr size_t kGrainMoments = 64;  // rows of XXᵀ to a task

// The moments of one input, as they grow.
struct Gathered {
  std::vector<float> sums[2];  // of chunks that are used, that are held out
  uint64_t tokens[2] = {};
};

// The rows' transposed, those of too much energy made smaller.
std::vector<float> cappedColumns(const Matrix& input) {
  std::vector<float> energies(input.rows);
  for (size_t row = 0; row < input.rows; ++row) {
    for (size_t i = 0; i < input.cols; ++i) energies[row] += input.row(row)[i] * input.row(row)[i];
  }
  std::vector<float> order = energies;
  std::nth_element(order.begin(), order.begin() + ptrdiff_t(order.size() / 2), order.end());
  const float most = kMostEnergy * order[order.size() / 2];
  std::vector<float> columns(input.values.size());
  for (size_t row = 0; row < input.rows; ++row) {
    const float factor = energies[row] > most ? std::sqrt(most / energies[row]) : 1.0f;
    for (size_t i = 0; i < input.cols; ++i) {
      columns[i * input.rows + row] = factor * input.row(row)[i];
    }
  }
  return columns;
}

void gather(Gathered& gathered, const Matrix& input, bool held, JobContext& job) {
  const std::vector<float> columns = cappedColumns(input);
  const size_t n = input.cols;
  std::vector<float>& sums = gathered.sums[held];
  sums.resize(n * n);
  gathered.tokens[held] += input.rows;
  job.parallelFor(n, kGrainMoments, [&](size_t begin, size_t end) {
    std::vector<float> products((end - begin) * n);
    cpuKernels().gemm({.a = &columns[begin * input.rows],
                       .aStride = input.rows,
                       .b = columns.data(),
                       .bStride = input.rows,
                       .c = products.data(),
                       .cStride = n,
                       .m = end - begin,
                       .n = n,
                       .k = input.rows});
    cpuKernels().add(&sums[begin * n], &sums[begin * n], products.data(), products.size());
  });
}

std::shared_ptr<const Moments> momentsOf(Gathered gathered, size_t columns) {
  auto moments = std::make_shared<Moments>();
  moments->columns = columns;
  for (int held = 0; held < 2; ++held) {
    const float factor = 1.0f / float(std::max<uint64_t>(1, gathered.tokens[held]));
    for (float& sum : gathered.sums[held]) sum *= factor;
  }
  moments->used = std::move(gathered.sums[0]);
  moments->held = std::move(gathered.sums[1]);
  return moments;
}

// For each tensor the first one that reads the same input.
std::map<size_t, size_t> leadersOf(const Graph& graph) {
  std::map<size_t, size_t> leaders;
  const Op* first = nullptr;
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::Linear) {
      first = nullptr;
      continue;
    }
    if (first == nullptr || first->input != op.input) first = &op;
    leaders.emplace(size_t(op.weight), size_t(first->weight));
  }
  return leaders;
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
    if (statistics.moments == nullptr) continue;
    hash.update(std::as_bytes(std::span(statistics.moments->used)));
    hash.update(std::as_bytes(std::span(statistics.moments->held)));
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
  if (options.moments && tokens.size() < 2 * length) {
    return makeError(ErrorCode::InvalidArgument,
                     options.dataset.empty() ? "The calibration text" : options.dataset,
                     ": moments need two chunks of ", length, " tokens, one to judge by.");
  }
  Forward forward(variant);
  const int blocks = int(forward.graph().blocks);
  const std::map<size_t, size_t> leaders = leadersOf(forward.graph());
  std::map<size_t, Sums> sums;            // by tensor
  std::map<size_t, Gathered> gatherings;  // by leading tensor
  bool held = false;
  const OpTap tap = [&](const Op& op, const OpInputs& inputs) {
    if (op.kind != OpKind::Linear) return;
    const auto tensor = size_t(op.weight);
    accumulate(sums[tensor], *inputs.input, job);
    const bool leads = leaders.at(tensor) == tensor;
    if (options.moments && leads) gather(gatherings[tensor], *inputs.input, held, job);
  };
  const std::vector<Segment> segments = {{.tokens = options.chunkTokens}};
  std::vector<uint32_t> rows(length);
  for (size_t row = 0; row < length; ++row) rows[row] = uint32_t(row);

  job.begin(tokens.size(), "tokens");
  for (size_t first = 0; first < tokens.size(); first += length) {
    const auto chunk = std::span(tokens).subspan(first, length);
    const size_t index = first / length;
    held = index % kHeldOut == std::min(kHeldOut, tokens.size() / length) - 1;
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
  std::map<size_t, std::shared_ptr<const Moments>> moments;
  for (auto& [tensor, gathered] : gatherings) {
    const size_t columns = variant.model().tensors()[tensor].rowLength();
    moments[tensor] = momentsOf(std::move(gathered), columns);
  }
  for (const auto& [tensor, sum] : sums) {
    TensorStatistics& statistics = result.tensors[variant.model().tensors()[tensor].name];
    statistics.tokens = sum.tokens;
    if (options.moments) statistics.moments = moments.at(leaders.at(tensor));
    statistics.sumSquares.assign(sum.squares.begin(), sum.squares.end());
  }
  result.dataset = options.dataset;
  result.chunks = uint32_t(tokens.size() / length);
  result.chunkTokens = options.chunkTokens;
  result.hash = hashOf(result);
  return result;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The interpreter of a Graph: on the CPU in the variant's precision (core/variant.h), or on the
// variant's backend in f32, as much of it as its memory holds. Runs with a tap are the CPU's.
// Sequences are laid end to end in one matrix, so that every linear op is one product; attention
// keeps them apart. Work can start at any block border from kept states: the live loop and scans
// recompute only what a change can reach.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/job.h"
#include "core/inference/kv_cache.h"
#include "core/inference/sampler.h"
#include "core/inference/tokenizer.h"
#include "core/variant.h"

namespace bitloom {

struct Matrix {  // row-major, rows × cols
  size_t rows = 0;
  size_t cols = 0;
  std::vector<float> values;
  Matrix() = default;
  Matrix(size_t r, size_t c) : rows(r), cols(c), values(r * c) {}
  float* row(size_t r) { return values.data() + r * cols; }
  const float* row(size_t r) const { return values.data() + r * cols; }
};

// One run of consecutive tokens of one sequence.
struct Segment {
  uint32_t tokens = 0;
  uint32_t firstPosition = 0;  // = tokens already in `cache`
  KvCache* cache = nullptr;    // null: the segment is the whole sequence, nothing is kept
};

// Called before every op with what it reads, tokens × width each; null where it has no such input.
// Ops of one point (q, k and v) see the same matrix.
struct OpInputs {
  const Matrix* input = nullptr;
  const Matrix* input2 = nullptr;
  const Matrix* input3 = nullptr;
};
using OpTap = std::function<void(const Op& op, const OpInputs& inputs)>;

// Rows of logits beside those of a reference.
struct ComparedRows {
  std::vector<double> kld;   // of each, in nats
  std::vector<float> shown;  // the logits of one of them; empty when none was asked for
};

class LinearBases;
class ReferenceLogits;

// Buffers of matrices that are done with: pages that need not be asked for again.
class SpareBuffers {
 public:
  Matrix take(size_t rows, size_t cols);  // its values are undefined
  void give(Matrix matrix);

 private:
  std::vector<std::vector<float>> m_buffers;
};

class Forward {
 public:
  // Borrowed, as are buffers that other runs share; null: buffers of its own.
  explicit Forward(const Variant& variant, SpareBuffers* spare = nullptr);
  ~Forward();

  const Graph& graph() const;

  // In Measure, ops that have a base use it from now on (core/inference/linear_bases.h; borrowed).
  // The tokens must be those of the bases then.
  void setBases(const LinearBases* bases);

  // Token ids → residual stream before block 0. An id outside the vocabulary is an error.
  Result<Matrix> embed(std::span<const TokenId> tokens, JobContext& job);
  // Runs blocks [first, last) on the stream, in place. Cancel is noticed at every op. The stream's
  // first row is row `baseRow` in the bases.
  Result<void> blocks(int first, int last, Matrix& stream, std::span<const Segment> segments,
                      JobContext& job, const OpTap& tap = {}, size_t baseRow = 0);
  // Final norm and head for the given rows of the stream → logits, rows.size() × vocabulary. The
  // first of the rows is the head's row `baseRow` in the bases.
  Result<Matrix> head(const Matrix& stream, std::span<const uint32_t> rows, JobContext& job,
                      const OpTap& tap = {}, size_t baseRow = 0);
  // All blocks, then the head for these rows, if any: what one step of an answer needs, in one go.
  // The stream is undefined afterwards.
  Result<Matrix> logits(Matrix& stream, std::span<const Segment> segments,
                        std::span<const uint32_t> rows, JobContext& job);

  // The same for the last row only, of which the `count` likeliest tokens are told.
  Result<TopLogits> top(Matrix& stream, std::span<const Segment> segments, size_t count,
                        JobContext& job);
  // The head's rows against the reference's, `firstRow` on. In the bases the first is the head's
  // row `firstRow`. `shown`: which of the rows is wanted itself.
  Result<ComparedRows> compare(const Matrix& stream, std::span<const uint32_t> rows,
                               const ReferenceLogits& reference, size_t firstRow,
                               std::optional<size_t> shown, JobContext& job);

  bool usesDevice() const;
  // Why not all is computed on the variant's backend, if it has one; empty else. After a call has
  // failed on the device: why the CPU computes from now on. Sequences whose keys were there must
  // be computed anew (the call returns the device's error then, else the CPU's result).
  const std::string& note() const;

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace bitloom

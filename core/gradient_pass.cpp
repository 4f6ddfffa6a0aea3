// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/gradient_pass.h"

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kBatchTokens = 4096;

class GradientPass {
 public:
  GradientPass(const Variant& variant, std::span<const TokenId> tokens, const ProbeOptions& layout,
               SampledLoss loss, uint64_t seed, const GradientVisitor& visitor, JobContext& job)
      : m_variant(variant),
        m_tokens(tokens),
        m_layout(layout),
        m_loss(loss),
        m_seed(seed),
        m_visitor(visitor),
        m_job(job),
        m_forward(variant),
        m_backward(variant) {}

  Result<void> run();

 private:
  // Whole sequences [first, first + count).
  struct Batch {
    uint32_t first;
    std::vector<Segment> segments;
    std::vector<uint32_t> sequences;  // of each row
  };
  std::vector<Batch> batches() const;
  Matrix rowsOf(const Matrix& all, const Batch& batch) const;

  Result<void> forward();
  Result<void> head();
  Result<void> block(int block);
  Result<void> embed();
  Result<void> toGradient(size_t firstRow, Matrix& logits);
  size_t label(const float* probabilities, size_t count, size_t row) const;
  GradientTap tap(const std::vector<uint32_t>& sequences, size_t* firstRow = nullptr);

  const Variant& m_variant;
  std::span<const TokenId> m_tokens;
  const ProbeOptions& m_layout;
  SampledLoss m_loss;
  uint64_t m_seed;
  const GradientVisitor& m_visitor;
  JobContext& m_job;
  Forward m_forward;
  Backward m_backward;
  std::vector<Matrix> m_borders;  // before block 0 … before the head
  std::vector<uint32_t> m_rows;   // scored
  Matrix m_gradient;              // of the stream at the border reached
};

std::vector<GradientPass::Batch> GradientPass::batches() const {
  const uint32_t most = std::max<uint32_t>(1, uint32_t(kBatchTokens / m_layout.tokens));
  std::vector<Batch> result;
  for (uint32_t first = 0; first < m_layout.sequences; first += most) {
    Batch batch{first, {}, {}};
    for (uint32_t i = first; i < std::min(first + most, m_layout.sequences); ++i) {
      batch.segments.push_back({.tokens = m_layout.tokens});
      batch.sequences.insert(batch.sequences.end(), m_layout.tokens, i);
    }
    result.push_back(std::move(batch));
  }
  return result;
}

Matrix GradientPass::rowsOf(const Matrix& all, const Batch& batch) const {
  Matrix part(batch.sequences.size(), all.cols);
  const float* from = all.row(size_t(batch.first) * m_layout.tokens);
  std::copy_n(from, part.values.size(), part.values.data());
  return part;
}

Result<void> GradientPass::forward() {
  TRY(Matrix stream, m_forward.embed(m_tokens, m_job));
  m_borders.push_back(std::move(stream));
  const std::vector<Batch> all = batches();
  for (int block = 0; block < int(m_forward.graph().blocks); ++block) {
    Matrix after(m_borders.back().rows, m_borders.back().cols);
    for (const Batch& batch : all) {
      TRY(m_job.checkpoint());
      Matrix part = rowsOf(m_borders.back(), batch);
      TRY(m_forward.blocks(block, block + 1, part, batch.segments, m_job));
      std::copy_n(part.values.data(), part.values.size(),
                  after.row(size_t(batch.first) * m_layout.tokens));
    }
    m_borders.push_back(std::move(after));
    m_job.advance();
  }
  return {};
}

// Where the running sum of probabilities first exceeds a random share of their whole.
size_t GradientPass::label(const float* probabilities, size_t count, size_t row) const {
  uint64_t state = m_seed + row;
  const double share = nextUniform(state);
  double whole = 0;
  for (size_t i = 0; i < count; ++i) whole += double(probabilities[i]);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    sum += double(probabilities[i]);
    if (sum > share * whole) return i;
  }
  return count - 1;
}

// ∂ log p(label) / ∂ logits = onehot(label) − p; the sign is that of the loss.
Result<void> GradientPass::toGradient(size_t firstRow, Matrix& logits) {
  const float sign = m_loss == SampledLoss::ModelLabels ? -1.0f : 1.0f;
  m_job.parallelFor(logits.rows, 1, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      float* values = logits.row(row);
      cpuKernels().softmax(values, logits.cols);
      const uint32_t position = m_rows[firstRow + row];
      const size_t chosen = m_loss == SampledLoss::ModelLabels
                                ? label(values, logits.cols, position)
                                : size_t(m_tokens[position + 1]);
      cpuKernels().scale(values, values, sign, logits.cols);
      values[chosen] -= sign;
    }
  });
  for (size_t row = 0; row < logits.rows; ++row) {
    if (!std::isfinite(logits.row(row)[0])) {
      return makeError(ErrorCode::Corrupt, m_variant.model().name(),
                       ": the logits of the text are not finite; a weight is NaN or too large.");
    }
  }
  return {};
}

// `sequences`: of each row; with `firstRow`, of rows counted from there.
GradientTap GradientPass::tap(const std::vector<uint32_t>& sequences, size_t* firstRow) {
  return [this, &sequences, firstRow](const OpGradient& gradient) -> Result<void> {
    const OpKind kind = gradient.op.kind;
    if (kind != OpKind::Linear && kind != OpKind::Embed) return {};
    const auto first = sequences.begin() + std::ptrdiff_t(firstRow == nullptr ? 0 : *firstRow);
    return m_visitor.weight(
        {gradient.op, gradient.input, gradient.tokens, gradient.outputGradient,
         std::vector<uint32_t>(first, first + std::ptrdiff_t(gradient.outputGradient.rows))});
  };
}

Result<void> GradientPass::head() {
  std::vector<uint32_t> sequences;
  for (const uint32_t row : m_rows) sequences.push_back(row / m_layout.tokens);
  m_gradient = Matrix(m_tokens.size(), m_forward.graph().width);
  size_t first = 0;
  const LogitsToGradient loss = [&](size_t firstRow, Matrix& logits) {
    first = firstRow;
    return toGradient(firstRow, logits);
  };
  TRY(m_backward.head(m_borders.back(), m_rows, loss, m_gradient, m_job, tap(sequences, &first)));
  m_borders.pop_back();
  m_job.advance();
  return m_visitor.blockDone(int(m_forward.graph().blocks));
}

Result<void> GradientPass::block(int block) {
  for (const Batch& batch : batches()) {
    TRY(m_job.checkpoint());
    Matrix gradient = rowsOf(m_gradient, batch);
    TRY(m_backward.block(block, rowsOf(m_borders.back(), batch), batch.segments, gradient, m_job,
                         tap(batch.sequences)));
    std::copy_n(gradient.values.data(), gradient.values.size(),
                m_gradient.row(size_t(batch.first) * m_layout.tokens));
  }
  m_borders.pop_back();
  m_job.advance();
  return m_visitor.blockDone(block);
}

Result<void> GradientPass::embed() {
  std::vector<uint32_t> sequences;
  for (size_t row = 0; row < m_tokens.size(); ++row) {
    sequences.push_back(uint32_t(row / m_layout.tokens));
  }
  TRY(m_backward.embed(m_tokens, m_gradient, m_job, tap(sequences)));
  return m_visitor.blockDone(-1);
}

Result<void> GradientPass::run() {
  // After the last token there is a prediction, but no token of the text.
  const uint32_t end = m_layout.tokens - (m_loss == SampledLoss::TextLabels ? 1 : 0);
  for (uint32_t sequence = 0; sequence < m_layout.sequences; ++sequence) {
    for (uint32_t position = m_layout.firstScored; position < end; ++position) {
      m_rows.push_back(sequence * m_layout.tokens + position);
    }
  }
  const int blocks = int(m_forward.graph().blocks);
  m_job.begin(uint64_t(2 * blocks) + 1, "blocks");
  TRY(forward());
  TRY(head());
  for (int at = blocks; at-- > 0;) {
    TRY(block(at));
  }
  return embed();
}

}  // namespace

Result<void> gradientPass(const Variant& variant, std::span<const TokenId> tokens,
                          const ProbeOptions& layout, SampledLoss loss, uint64_t seed,
                          const GradientVisitor& visitor, JobContext& job) {
  const bool fits = layout.sequences > 0 && layout.firstScored + 1 < layout.tokens &&
                    tokens.size() == size_t(layout.sequences) * layout.tokens;
  if (!fits) {
    return makeError(ErrorCode::InvalidArgument, "A text of ", tokens.size(),
                     " tokens does not make ", layout.sequences, " sequences of ", layout.tokens,
                     " tokens that are scored from ", layout.firstScored, " on.");
  }
  return GradientPass(variant, tokens, layout, loss, seed, visitor, job).run();
}

}  // namespace bitloom

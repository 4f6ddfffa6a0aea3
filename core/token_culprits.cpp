// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/token_culprits.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/strings.h"
#include "core/inference/backward.h"
#include "core/statistics.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kTrials = 3;  // tensors tried for each one that is asked for
constexpr size_t kStrip = 32;  // rows of a weight that are multiplied out at a time

Variant measured(const Variant& variant) {
  Variant copy = variant.copy();
  if (copy.precision() == Precision::Chat) copy.setPrecision(Precision::Measure);
  return copy;
}

class Search {
 public:
  Search(const Variant& reference, const Variant& variant, std::span<const TokenId> context,
         JobContext& job)
      : m_reference(measured(reference)),
        m_variant(measured(variant)),
        m_context(context),
        m_segments{{.tokens = uint32_t(context.size())}},
        m_last{uint32_t(context.size() - 1)},
        m_job(job) {}

  Result<TokenCulprits> run(size_t count);

 private:
  int blocks() const { return int(m_reference.graph().blocks); }
  bool isChanged(size_t tensor) const {
    return m_variant.signatureOf(tensor) != m_reference.signatureOf(tensor);
  }
  Result<Matrix> logitsFrom(const Variant& variant, int block, const Matrix& stream) const;
  Result<double> divergenceFrom(const Variant& variant, int block, const Matrix& stream) const;
  Result<void> keepBorders();
  Result<void> goBack();
  Result<void> add(const OpGradient& gradient);
  Result<double> restored(size_t tensor) const;

  Variant m_reference, m_variant;
  std::span<const TokenId> m_context;
  std::vector<Segment> m_segments;
  std::vector<uint32_t> m_last;
  JobContext& m_job;
  Matrix m_wanted;                  // the reference's logits
  std::vector<Matrix> m_borders;    // of the variant: before block 0 … before the head
  std::map<size_t, double> m_gain;  // by changed tensor: first-order loss by its change
  std::map<size_t, int> m_firstUse;
};

Result<Matrix> Search::logitsFrom(const Variant& variant, int block, const Matrix& stream) const {
  Forward forward(variant);
  Matrix own = stream;
  if (block < 0) {
    TRY(own, forward.embed(m_context, m_job));
  }
  TRY(forward.blocks(std::max(block, 0), blocks(), own, m_segments, m_job));
  return forward.head(own, m_last, m_job);
}

Result<double> Search::divergenceFrom(const Variant& variant, int block,
                                      const Matrix& stream) const {
  TRY(const Matrix logits, logitsFrom(variant, block, stream));
  const double kld = klDivergence(logitRow(m_wanted.values), logitRow(logits.values));
  if (!std::isfinite(kld)) {
    return makeError(ErrorCode::Corrupt, m_reference.model().name(),
                     ": the logits after this context are not finite.");
  }
  return kld;
}

Result<void> Search::keepBorders() {
  Forward forward(m_variant);
  TRY(Matrix stream, forward.embed(m_context, m_job));
  m_borders.push_back(stream);
  for (int block = 0; block < blocks(); ++block) {
    TRY(forward.blocks(block, block + 1, stream, m_segments, m_job));
    m_borders.push_back(stream);
    m_job.advance();
  }
  return {};
}

// ∂ KL(p ‖ q) / ∂ logits of q = q − p.
Result<void> Search::goBack() {
  Backward backward(m_variant);
  const GradientTap tap = [this](const OpGradient& gradient) { return add(gradient); };
  const LogitsToGradient loss = [this](size_t, Matrix& logits) -> Result<void> {
    std::vector<float> wanted = m_wanted.values;
    cpuKernels().softmax(wanted.data(), wanted.size());
    cpuKernels().softmax(logits.row(0), logits.cols);
    for (size_t i = 0; i < logits.cols; ++i) logits.row(0)[i] -= wanted[i];
    return {};
  };
  Matrix gradient(m_context.size(), m_reference.graph().width);
  TRY(backward.head(m_borders.back(), m_last, loss, gradient, m_job, tap));
  for (int block = blocks(); block-- > 0;) {
    TRY(backward.block(block, m_borders[size_t(block)], m_segments, gradient, m_job, tap));
    m_job.advance();
  }
  return backward.embed(m_context, gradient, m_job, tap);
}

// ⟨gradient, Ŵ − W⟩ of the op's weight: what its change costs, to first order.
Result<void> Search::add(const OpGradient& gradient) {
  const OpKind kind = gradient.op.kind;
  if (kind != OpKind::Linear && kind != OpKind::Embed) return {};
  const size_t tensor = size_t(gradient.op.weight);
  m_firstUse[tensor] = gradient.op.block;  // the last that is met
  if (!isChanged(tensor)) return {};
  TRY(const DecodedWeights plain, m_reference.weights(tensor, m_job));
  TRY(const DecodedWeights coded, m_variant.weights(tensor, m_job));
  const size_t columns = m_reference.model().tensors()[tensor].rowLength();
  const Matrix& out = gradient.outputGradient;
  const auto changeOf = [&](size_t first, size_t count) {
    std::vector<float> change(count * columns);
    const size_t at = first * columns;
    for (size_t i = 0; i < change.size(); ++i) change[i] = (*coded)[at + i] - (*plain)[at + i];
    return change;
  };
  if (kind == OpKind::Embed) {
    for (size_t t = 0; t < out.rows; ++t) {
      const std::vector<float> change = changeOf(size_t(gradient.tokens[t]), 1);
      m_gain[tensor] += cpuKernels().dot(out.row(t), change.data(), columns);
    }
    return {};
  }
  std::vector<double> parts((out.cols + kStrip - 1) / kStrip);
  m_job.parallelFor(parts.size(), 1, [&](size_t begin, size_t end) {
    for (size_t part = begin; part < end; ++part) {
      const size_t rows = std::min(kStrip, out.cols - part * kStrip);
      const std::vector<float> change = changeOf(part * kStrip, rows);
      cpuKernels().gradientProducts({.in = gradient.input->values.data(),
                                     .inStride = columns,
                                     .out = out.values.data() + part * kStrip,
                                     .outStride = out.cols,
                                     .tokens = out.rows,
                                     .rows = rows,
                                     .columns = columns,
                                     .changes = change.data(),
                                     .count = 1,
                                     .products = &parts[part]});
    }
  });
  for (const double part : parts) m_gain[tensor] += part;
  return {};
}

Result<double> Search::restored(size_t tensor) const {
  Variant trial = m_variant.copy();
  trial.setTensor(tensor, nullptr);
  const int block = m_firstUse.at(tensor);
  return divergenceFrom(trial, block, m_borders[size_t(std::max(block, 0))]);
}

Result<TokenCulprits> Search::run(size_t count) {
  m_job.begin(uint64_t(2 * blocks()) + kTrials * count, "steps");
  TRY(m_wanted, logitsFrom(m_reference, -1, {}));
  TRY(keepBorders());
  TokenCulprits result;
  TRY(result.kld, divergenceFrom(m_variant, blocks(), m_borders.back()));
  TRY(goBack());

  std::vector<std::pair<double, size_t>> candidates;
  for (const auto& [tensor, gain] : m_gain) {
    if (gain > 0) candidates.emplace_back(-gain, tensor);
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.resize(std::min(candidates.size(), kTrials * count));
  for (const auto& [gain, tensor] : candidates) {
    TRY(const double kld, restored(tensor));
    m_job.advance();
    ++result.measured;
    if (kld < result.kld) result.best.push_back({tensor, kld});
  }
  std::sort(result.best.begin(), result.best.end(),
            [](const Culprit& a, const Culprit& b) { return a.kld < b.kld; });
  result.best.resize(std::min(result.best.size(), count));
  return result;
}

}  // namespace

Result<TokenCulprits> findCulprits(const Variant& reference, const Variant& variant,
                                   std::span<const TokenId> context, size_t count,
                                   JobContext& job) {
  if (&reference.model() != &variant.model() || context.empty()) {
    return makeError(ErrorCode::InvalidArgument, variant.model().name(),
                     ": tensors are restored from another plan of the same model, after at least "
                     "one token.");
  }
  for (size_t i = 0; i < reference.model().tensors().size(); ++i) {
    if (reference.isChanged(i)) {
      return makeError(ErrorCode::InvalidArgument, reference.model().name(),
                       ": tensors are restored from the source, and the reference has ",
                       reference.model().tensors()[i].name, " encoded.");
    }
  }
  return Search(reference, variant, context, job).run(count);
}

}  // namespace bitloom

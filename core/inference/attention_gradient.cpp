// SPDX-License-Identifier: GPL-3.0-or-later
// With S = scale·Q·Kᵀ, P = softmax S over the positions seen, O = P·V:
// dV = Pᵀ·dO, dP = dO·Vᵀ, dS = P ⊙ (dP − rowsum(P ⊙ dP)), dQ = scale·dS·K, dK = scale·dSᵀ·Q.
// Heads that share keys and values are summed one after the other, so that the result does not
// depend on threads.
#include "core/inference/attention_gradient.h"

#include <algorithm>
#include <vector>

#include "core/inference/transposed.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

// A head's columns in a matrix of all heads.
struct Head {
  const float* first;
  size_t stride;
};

// c = a·bᵀ with m × k and n × k operands.
void product(Head a, Head b, float* c, size_t cStride, size_t m, size_t n, size_t k) {
  cpuKernels().gemm({.a = a.first,
                     .aStride = a.stride,
                     .b = b.first,
                     .bStride = b.stride,
                     .c = c,
                     .cStride = cStride,
                     .m = m,
                     .n = n,
                     .k = k});
}

// What one task computes with; T is the segment's length.
struct Scratch {
  std::vector<float> probabilities, gradient;  // T × T
  std::vector<float> turned;                   // T × T, the transpose of either
  std::vector<float> narrow;                   // width × T, a head's columns as rows
  std::vector<float> sum;                      // T × width
};

void addScaled(const std::vector<float>& from, float factor, size_t width, size_t tokens, float* to,
               size_t toStride) {
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t i = 0; i < width; ++i) to[t * toStride + i] += factor * from[t * width + i];
  }
}

class HeadGradient {
 public:
  HeadGradient(const Op& op, const AttentionInputs& inputs, const Matrix& outputGradient,
               AttentionGradients& result)
      : m_op(op), m_inputs(inputs), m_outputGradient(outputGradient), m_result(result) {}

  // Adds what the query head `head` gives for `tokens` rows from `row` on.
  void add(size_t row, size_t tokens, size_t head) {
    const size_t kvHead = head / (m_op.heads / m_op.kvHeads);
    const size_t keyColumn = kvHead * m_op.headWidth;
    const size_t valueColumn = kvHead * m_op.valueWidth;
    const Head queries{m_inputs.queries.row(row) + head * m_op.headWidth, m_inputs.queries.cols};
    const Head keys{m_inputs.keys.row(row) + keyColumn, m_inputs.keys.cols};
    const Head values{m_inputs.values.row(row) + valueColumn, m_inputs.values.cols};
    const Head out{m_outputGradient.row(row) + head * m_op.valueWidth, m_outputGradient.cols};
    scores(queries, keys, values, out, tokens);

    turn(m_scratch.probabilities, tokens);
    contract(m_scratch.turned, out, m_op.valueWidth, tokens);
    addScaled(m_scratch.sum, 1, m_op.valueWidth, tokens, m_result.values.row(row) + valueColumn,
              m_result.values.cols);
    contract(m_scratch.gradient, keys, m_op.headWidth, tokens);
    addScaled(m_scratch.sum, m_op.factor, m_op.headWidth, tokens,
              m_result.queries.row(row) + head * m_op.headWidth, m_result.queries.cols);
    turn(m_scratch.gradient, tokens);
    contract(m_scratch.turned, queries, m_op.headWidth, tokens);
    addScaled(m_scratch.sum, m_op.factor, m_op.headWidth, tokens,
              m_result.keys.row(row) + keyColumn, m_result.keys.cols);
  }

 private:
  // P and dS; zeros above the diagonal.
  void scores(Head queries, Head keys, Head values, Head out, size_t tokens) {
    const CpuKernels& kernels = cpuKernels();
    m_scratch.probabilities.resize(tokens * tokens);
    m_scratch.gradient.resize(tokens * tokens);
    product(queries, keys, m_scratch.probabilities.data(), tokens, tokens, tokens, m_op.headWidth);
    product(out, values, m_scratch.gradient.data(), tokens, tokens, tokens, m_op.valueWidth);
    for (size_t t = 0; t < tokens; ++t) {
      float* p = m_scratch.probabilities.data() + t * tokens;
      float* gradient = m_scratch.gradient.data() + t * tokens;
      kernels.scale(p, p, m_op.factor, t + 1);
      kernels.softmax(p, t + 1);
      kernels.softmaxGradient(gradient, p, t + 1);
      std::fill(p + t + 1, p + tokens, 0.0f);
      std::fill(gradient + t + 1, gradient + tokens, 0.0f);
    }
  }

  void turn(const std::vector<float>& square, size_t tokens) {
    m_scratch.turned.resize(tokens * tokens);
    transpose(square.data(), tokens, tokens, tokens, m_scratch.turned.data(), tokens);
  }

  // sum = square · head, T × width.
  void contract(const std::vector<float>& square, Head head, size_t width, size_t tokens) {
    m_scratch.narrow.resize(width * tokens);
    m_scratch.sum.resize(tokens * width);
    transpose(head.first, head.stride, tokens, width, m_scratch.narrow.data(), tokens);
    product({square.data(), tokens}, {m_scratch.narrow.data(), tokens}, m_scratch.sum.data(), width,
            tokens, width, tokens);
  }

  const Op& m_op;
  const AttentionInputs& m_inputs;
  const Matrix& m_outputGradient;
  AttentionGradients& m_result;
  Scratch m_scratch;
};

}  // namespace

Result<AttentionGradients> attentionGradients(const Op& op, const AttentionInputs& inputs,
                                              std::span<const Segment> segments,
                                              const Matrix& outputGradient, JobContext& job) {
  AttentionGradients result{Matrix(inputs.queries.rows, inputs.queries.cols),
                            Matrix(inputs.keys.rows, inputs.keys.cols),
                            Matrix(inputs.values.rows, inputs.values.cols)};
  std::vector<size_t> rows;  // first row of each segment
  size_t row = 0;
  for (const Segment& segment : segments) {
    CHECK(segment.cache == nullptr);
    rows.push_back(row);
    row += segment.tokens;
  }
  TRY(job.checkpoint());
  const size_t group = op.heads / op.kvHeads;
  job.parallelFor(segments.size() * op.kvHeads, 1, [&](size_t begin, size_t end) {
    HeadGradient gradient(op, inputs, outputGradient, result);
    for (size_t task = begin; task < end; ++task) {
      const size_t segment = task / op.kvHeads;
      const size_t firstHead = task % op.kvHeads * group;
      for (size_t head = firstHead; head < firstHead + group; ++head) {
        gradient.add(rows[segment], segments[segment].tokens, head);
      }
    }
  });
  return result;
}

}  // namespace bitloom

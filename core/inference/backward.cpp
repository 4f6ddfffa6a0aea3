// SPDX-License-Identifier: GPL-3.0-or-later
// A block is run forward once more while a tap keeps what its ops read; then the ops are walked
// from last to first. A point's gradient is taken away by the op that wrote the point and added to
// by those that read it, which is right for points that are written in place too.
#include "core/inference/backward.h"

#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/inference/attention_gradient.h"
#include "core/inference/linear.h"
#include "core/inference/rotation.h"
#include "core/inference/transposed.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kSlabBytes = size_t{256} << 20;  // of logits that are alive at once
constexpr size_t kRunBytes = size_t{16} << 20;    // of a weight's rows
constexpr size_t kFloatsAtOnce = 1u << 14;

using Kept = std::shared_ptr<const Matrix>;

struct KeptInputs {
  Kept input, input2, input3;
};

bool needsValues(OpKind kind) {
  return kind != OpKind::Add && kind != OpKind::Scale && kind != OpKind::Rope;
}

template <typename Body>
void forRows(size_t rows, size_t columns, JobContext& job, const Body& body) {
  const size_t grain = std::max<size_t>(1, kFloatsAtOnce / std::max<size_t>(1, columns));
  job.parallelFor(rows, grain, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) body(row);
  });
}

// What one call walks.
struct Walk {
  std::vector<KeptInputs> kept;   // by op of the block
  std::vector<Matrix> gradients;  // by point; empty while there is none
  std::vector<uint32_t> positions;
  std::span<const Segment> segments;
  const GradientTap& tap;
  JobContext& job;

  void add(int point, Matrix&& gradient) {
    Matrix& sum = gradients[size_t(point)];
    if (sum.values.empty()) {
      sum = std::move(gradient);
      return;
    }
    forRows(sum.rows, sum.cols, job, [&](size_t row) {
      cpuKernels().add(sum.row(row), sum.row(row), gradient.row(row), sum.cols);
    });
  }
};

}  // namespace

struct Backward::State {
  explicit State(const Variant& v) : variant(v), graph(v.graph()), forward(v), rotations(v) {}

  const Variant& variant;
  const Graph& graph;
  Forward forward;
  Rotations rotations;

  std::span<const Op> opsOf(int block) const;
  OpTap keeper(std::span<const Op> ops, Walk& walk) const;
  Result<void> walkBack(std::span<const Op> ops, Walk& walk);
  Result<void> stepBack(const Op& op, const KeptInputs& kept, Matrix gradient, Walk& walk);

  Result<Matrix> norm(const Op& op, const Matrix& input, const Matrix& gradient, Walk& walk);
  Result<Matrix> linear(const Op& op, const Matrix& gradient, Walk& walk);
  Result<Matrix> rope(const Op& op, Matrix gradient, Walk& walk);
  void gate(const Op& op, const KeptInputs& kept, const Matrix& gradient, Walk& walk);
};

std::span<const Op> Backward::State::opsOf(int block) const {
  const auto below = [](const Op& op, int b) { return op.block < b; };
  const auto first = std::lower_bound(graph.ops.begin(), graph.ops.end(), block, below);
  const auto last = std::lower_bound(first, graph.ops.end(), block + 1, below);
  return {first, last};
}

// Copies what each op reads; ops that read one point one after the other share the copy.
OpTap Backward::State::keeper(std::span<const Op> ops, Walk& walk) const {
  walk.kept.resize(ops.size());
  return [ops, &walk](const Op& op, const OpInputs& inputs) {
    if (!needsValues(op.kind)) return;
    const size_t index = size_t(&op - ops.data());
    const auto copy = [](const Matrix* matrix) {
      return matrix == nullptr ? nullptr : std::make_shared<const Matrix>(*matrix);
    };
    KeptInputs& kept = walk.kept[index];
    const bool shares = index > 0 && op.kind == OpKind::Linear &&
                        ops[index - 1].kind == OpKind::Linear && ops[index - 1].input == op.input;
    kept.input = shares ? walk.kept[index - 1].input : copy(inputs.input);
    kept.input2 = copy(inputs.input2);
    kept.input3 = copy(inputs.input3);
  };
}

Result<void> Backward::State::walkBack(std::span<const Op> ops, Walk& walk) {
  for (size_t i = ops.size(); i-- > 0;) {
    TRY(walk.job.checkpoint());
    Matrix gradient = std::move(walk.gradients[size_t(ops[i].output)]);
    walk.gradients[size_t(ops[i].output)] = {};
    if (gradient.values.empty()) continue;  // nothing reads it
    const KeptInputs kept = std::move(walk.kept[i]);
    if (walk.tap) {
      TRY(walk.tap({ops[i], kept.input.get(), {}, gradient}));
    }
    TRY(stepBack(ops[i], kept, std::move(gradient), walk));
  }
  return {};
}

Result<void> Backward::State::stepBack(const Op& op, const KeptInputs& kept, Matrix gradient,
                                       Walk& walk) {
  switch (op.kind) {
    case OpKind::Norm: {
      TRY(Matrix in, norm(op, *kept.input, gradient, walk));
      walk.add(op.input, std::move(in));
      return {};
    }
    case OpKind::Linear: {
      TRY(Matrix in, linear(op, gradient, walk));
      walk.add(op.input, std::move(in));
      return {};
    }
    case OpKind::Rope: {
      TRY(Matrix in, rope(op, std::move(gradient), walk));
      walk.add(op.input, std::move(in));
      return {};
    }
    case OpKind::Attention: {
      const AttentionInputs inputs{*kept.input, *kept.input2, *kept.input3};
      TRY(AttentionGradients in, attentionGradients(op, inputs, walk.segments, gradient, walk.job));
      walk.add(op.input, std::move(in.queries));
      walk.add(op.input2, std::move(in.keys));
      walk.add(op.input3, std::move(in.values));
      return {};
    }
    case OpKind::ActivationGate:
      gate(op, kept, gradient, walk);
      return {};
    case OpKind::Add:
      walk.add(op.input2, Matrix(gradient));
      walk.add(op.input, std::move(gradient));
      return {};
    case OpKind::Scale:
      forRows(gradient.rows, gradient.cols, walk.job, [&](size_t row) {
        cpuKernels().scale(gradient.row(row), gradient.row(row), op.factor, gradient.cols);
      });
      walk.add(op.input, std::move(gradient));
      return {};
    case OpKind::Embed:
      return {};  // reads no point
  }
  return {};
}

Result<Matrix> Backward::State::norm(const Op& op, const Matrix& input, const Matrix& gradient,
                                     Walk& walk) {
  TRY(const DecodedWeights weight, variant.weights(size_t(op.weight), walk.job));
  Matrix in(input.rows, input.cols);
  forRows(in.rows, in.cols, walk.job, [&](size_t row) {
    for (size_t first = 0; first < in.cols; first += op.groupWidth) {
      cpuKernels().rmsNormGradient({.inGradient = in.row(row) + first,
                                    .in = input.row(row) + first,
                                    .weight = weight->data(),
                                    .outGradient = gradient.row(row) + first,
                                    .count = op.groupWidth,
                                    .epsilon = op.epsilon});
    }
  });
  return in;
}

// dx = dy·W, a bounded run of W's rows at a time.
Result<Matrix> Backward::State::linear(const Op& op, const Matrix& gradient, Walk& walk) {
  const size_t width = variant.model().tensors()[size_t(op.weight)].rowLength();
  const size_t most = std::max<size_t>(1, kRunBytes / sizeof(float) / width);
  Matrix sum(gradient.rows, width);
  const Products products =
      variant.precision() == Precision::Exact ? Products::Exact : Products::OnePart;
  const auto visit = [&](uint64_t first, uint64_t rows, const float* weights) -> Result<void> {
    if (rows == gradient.cols && rows <= most) {
      return addTurned(gradient, weights, products, sum, walk.job);
    }
    for (uint64_t done = 0; done < rows; done += most) {
      Matrix part(gradient.rows, std::min<size_t>(most, rows - done));
      for (size_t row = 0; row < part.rows; ++row) {
        std::copy_n(gradient.row(row) + first + done, part.cols, part.row(row));
      }
      TRY(addTurned(part, weights + done * width, products, sum, walk.job));
    }
    return {};
  };
  TRY(variant.tiles(size_t(op.weight), visit, walk.job));
  return sum;
}

// A rotation's transpose turns the other way.
Result<Matrix> Backward::State::rope(const Op& op, Matrix gradient, Walk& walk) {
  const auto last = std::max_element(walk.positions.begin(), walk.positions.end());
  const uint32_t positions = last == walk.positions.end() ? 0 : *last + 1;
  TRY(const RotationTable* table, rotations.tableOf(op, positions, walk.job));
  forRows(gradient.rows, gradient.cols, walk.job, [&](size_t row) {
    std::vector<float> sines(table->pairs());
    const float* forwards = table->sines(walk.positions[row]);
    std::transform(forwards, forwards + sines.size(), sines.begin(), [](float s) { return -s; });
    cpuKernels().rope({.heads = gradient.row(row),
                       .headCount = op.heads,
                       .headWidth = op.headWidth,
                       .pairs = table->pairs(),
                       .cosines = table->cosines(walk.positions[row]),
                       .sines = sines.data(),
                       .adjacent = op.rope.style == RopeStyle::AdjacentPairs});
  });
  return gradient;
}

void Backward::State::gate(const Op& op, const KeptInputs& kept, const Matrix& gradient,
                           Walk& walk) {
  const CpuKernels& kernels = cpuKernels();
  const auto function =
      op.activation == Activation::Silu ? kernels.siluGateGradient : kernels.geluGateGradient;
  Matrix gateGradient(gradient.rows, gradient.cols);
  Matrix upGradient(gradient.rows, gradient.cols);
  forRows(gradient.rows, gradient.cols, walk.job, [&](size_t row) {
    function({.gateGradient = gateGradient.row(row),
              .upGradient = upGradient.row(row),
              .gate = kept.input->row(row),
              .up = kept.input2->row(row),
              .outGradient = gradient.row(row),
              .count = gradient.cols});
  });
  walk.add(op.input, std::move(gateGradient));
  walk.add(op.input2, std::move(upGradient));
}

Backward::Backward(const Variant& variant) : m_state(std::make_unique<State>(variant)) {}
Backward::~Backward() = default;

Result<void> Backward::head(const Matrix& stream, std::span<const uint32_t> rows,
                            const LogitsToGradient& loss, Matrix& streamGradient, JobContext& job,
                            const GradientTap& tap) {
  const Graph& graph = m_state->graph;
  CHECK(streamGradient.rows == stream.rows && streamGradient.cols == graph.width);
  const std::span<const Op> ops = m_state->opsOf(int(graph.blocks));
  const size_t slab = std::max<size_t>(1, kSlabBytes / (sizeof(float) * graph.vocabulary));
  for (size_t first = 0; first < rows.size(); first += slab) {
    TRY(job.checkpoint());
    const auto chosen = rows.subspan(first, std::min(slab, rows.size() - first));
    Walk walk{.kept = {},
              .gradients = std::vector<Matrix>(graph.points.size()),
              .positions = {},
              .segments = {},
              .tap = tap,
              .job = job};
    TRY(Matrix logits, m_state->forward.head(stream, chosen, job, m_state->keeper(ops, walk)));
    TRY(loss(first, logits));
    walk.gradients[size_t(graph.logits)] = std::move(logits);
    TRY(m_state->walkBack(ops, walk));
    const Matrix& gradient = walk.gradients[size_t(graph.stream)];
    for (size_t i = 0; i < chosen.size(); ++i) {
      float* to = streamGradient.row(chosen[i]);
      cpuKernels().add(to, to, gradient.row(i), graph.width);
    }
  }
  return {};
}

Result<void> Backward::block(int block, const Matrix& streamBefore,
                             std::span<const Segment> segments, Matrix& streamGradient,
                             JobContext& job, const GradientTap& tap) {
  const Graph& graph = m_state->graph;
  CHECK(streamGradient.rows == streamBefore.rows && streamGradient.cols == graph.width);
  const std::span<const Op> ops = m_state->opsOf(block);
  Walk walk{.kept = {},
            .gradients = std::vector<Matrix>(graph.points.size()),
            .positions = {},
            .segments = segments,
            .tap = tap,
            .job = job};
  for (const Segment& segment : segments) {
    CHECK(segment.cache == nullptr);
    for (uint32_t i = 0; i < segment.tokens; ++i) walk.positions.push_back(i);
  }
  Matrix stream = streamBefore;
  TRY(m_state->forward.blocks(block, block + 1, stream, segments, job, m_state->keeper(ops, walk)));
  walk.gradients[size_t(graph.stream)] = std::move(streamGradient);
  TRY(m_state->walkBack(ops, walk));
  streamGradient = std::move(walk.gradients[size_t(graph.stream)]);
  return {};
}

Result<void> Backward::embed(std::span<const TokenId> tokens, const Matrix& streamGradient,
                             JobContext& job, const GradientTap& tap) {
  const std::span<const Op> ops = m_state->opsOf(-1);
  Walk walk{.kept = std::vector<KeptInputs>(ops.size()),
            .gradients = std::vector<Matrix>(m_state->graph.points.size()),
            .positions = {},
            .segments = {},
            .tap = [&](const OpGradient& gradient) -> Result<void> {
              OpGradient told = gradient;
              if (told.op.kind == OpKind::Embed) told.tokens = tokens;
              return tap ? tap(told) : Result<void>();
            },
            .job = job};
  walk.gradients[size_t(m_state->graph.stream)] = streamGradient;
  return m_state->walkBack(ops, walk);
}

Matrix weightGradient(const OpGradient& gradient, const Graph& graph, JobContext& job) {
  const Op& op = gradient.op;
  const Matrix& out = gradient.outputGradient;
  if (op.kind == OpKind::Embed) {
    Matrix result(graph.vocabulary, out.cols);
    for (size_t t = 0; t < out.rows; ++t) {
      float* to = result.row(size_t(gradient.tokens[t]));
      cpuKernels().add(to, to, out.row(t), out.cols);
    }
    return result;
  }
  const Matrix& in = *gradient.input;
  if (op.kind == OpKind::Norm) {
    Matrix result(1, op.groupWidth);
    for (size_t t = 0; t < in.rows; ++t) {
      for (size_t first = 0; first < in.cols; first += op.groupWidth) {
        const float* x = in.row(t) + first;
        const double squares = cpuKernels().dot(x, x, op.groupWidth);
        const double factor = 1 / std::sqrt(squares / op.groupWidth + double(op.epsilon));
        for (size_t i = 0; i < op.groupWidth; ++i) {
          result.values[i] += float(double(out.row(t)[first + i] * x[i]) * factor);
        }
      }
    }
    return result;
  }
  CHECK(op.kind == OpKind::Linear);
  std::vector<float> inputs(in.values.size());
  std::vector<float> outputs(out.values.size());
  transpose(in.values.data(), in.cols, in.rows, in.cols, inputs.data(), in.rows);
  transpose(out.values.data(), out.cols, out.rows, out.cols, outputs.data(), out.rows);
  Matrix result(out.cols, in.cols);
  constexpr size_t kRows = 16;
  job.parallelFor((out.cols + kRows - 1) / kRows, 1, [&](size_t begin, size_t end) {
    const size_t row = begin * kRows;
    cpuKernels().gemm({.a = outputs.data() + row * out.rows,
                       .aStride = out.rows,
                       .b = inputs.data(),
                       .bStride = in.rows,
                       .c = result.row(row),
                       .cStride = in.cols,
                       .m = std::min(out.cols, end * kRows) - row,
                       .n = in.cols,
                       .k = in.rows});
  });
  return result;
}

Matrix biasGradient(const OpGradient& gradient) {
  const Matrix& out = gradient.outputGradient;
  Matrix result(1, out.cols);
  for (size_t t = 0; t < out.rows; ++t) {
    cpuKernels().add(result.row(0), result.row(0), out.row(t), out.cols);
  }
  return result;
}

}  // namespace bitloom

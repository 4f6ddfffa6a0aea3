// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/forward.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "core/base/strings.h"
#include "core/inference/attention.h"
#include "core/inference/backend.h"
#include "core/inference/device_forward.h"
#include "core/inference/interpreter.h"
#include "core/inference/linear.h"
#include "core/inference/linear_bases.h"
#include "core/inference/reference_logits.h"
#include "core/inference/rotation.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kFloatsAtOnce = 1u << 14;        // of one chunk of a row-wise op
constexpr size_t kSlabBytes = size_t{128} << 20;  // of compared logits that are alive at once

// What one call computes with.
struct Pass {
  Matrix* stream = nullptr;
  std::span<const TokenId> tokens;
  std::span<const Segment> segments;
  std::vector<uint32_t> positions;  // of each row of the stream
  const OpTap& tap;
  JobContext& job;
  size_t baseRow = 0;
  std::vector<Matrix> values;  // by point; empty while the point holds nothing
  LinearInput forms;           // of the point `formsOf`
  int formsOf = kNone;
  Matrix difference;  // of that point from its base; empty until an op needs it
  LinearInput differenceForms;
};

// Runs body(row) over all rows of a matrix of `columns` columns.
template <typename Body>
void forRows(size_t rows, size_t columns, JobContext& job, const Body& body) {
  const size_t grain = std::max<size_t>(1, kFloatsAtOnce / std::max<size_t>(1, columns));
  job.parallelFor(rows, grain, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) body(row);
  });
}

}  // namespace

struct Forward::State {
  State(const Variant& v, SpareBuffers* buffers);

  const Variant& variant;
  const Graph& graph;
  const LinearBases* bases = nullptr;
  Interpreter interpreter;
  SpareBuffers ownSpare;
  SpareBuffers& spare;  // of points that are no longer needed
  Rotations rotations;

  class Runner;
  std::unique_ptr<DeviceForward> device;  // computes what it has the weights of
  std::string note;                       // why it does not
  bool leaveDevice(const Error& error, std::span<const Segment> segments);

  Result<void> run(int block, Pass& pass);
  Result<void> runOp(const Op& op, Pass& pass);
  Matrix& value(int point, Pass& pass);
  Matrix& output(const Op& op, Pass& pass);
  void tap(const Op& op, Pass& pass);

  Result<void> embed(const Op& op, Pass& pass);
  Result<void> norm(const Op& op, Pass& pass);
  Result<void> linears(std::span<const Op> ops, Pass& pass);
  Result<void> linear(const Op& op, const float* bias, Pass& pass);
  Result<bool> linearsPacked(std::span<const Op> ops, std::span<const DecodedWeights> biases,
                             Pass& pass);
  Result<void> rope(const Op& op, Pass& pass);
};

Matrix SpareBuffers::take(size_t rows, size_t cols) {
  const size_t needed = rows * cols;
  const auto large = std::find_if(m_buffers.begin(), m_buffers.end(), [&](const auto& buffer) {
    return buffer.capacity() >= needed && buffer.capacity() / 2 <= needed;
  });
  Matrix matrix;
  matrix.rows = rows;
  matrix.cols = cols;
  if (large != m_buffers.end()) {
    matrix.values = std::move(*large);
    m_buffers.erase(large);
  }
  matrix.values.resize(needed);
  return matrix;
}

void SpareBuffers::give(Matrix matrix) { m_buffers.push_back(std::move(matrix.values)); }

Forward::State::State(const Variant& v, SpareBuffers* buffers)
    : variant(v),
      graph(v.graph()),
      interpreter(graph),
      spare(buffers == nullptr ? ownSpare : *buffers),
      rotations(v) {
  if (v.backend() == nullptr) return;
  device = DeviceForward::create(v, note);
  if (!note.empty()) v.backend()->addNote(note);
}

class Forward::State::Runner : public OpRunner {
 public:
  Runner(State& state, Pass& pass) : m_state(state), m_pass(pass) {}

  Result<void> linears(std::span<const Op> ops) override {
    TRY(begin(ops));
    return m_state.linears(ops, m_pass);
  }
  Result<void> other(const Op& op) override {
    TRY(begin({&op, 1}));
    return m_state.runOp(op, m_pass);
  }
  void release(int point) override {
    Matrix& matrix = m_pass.values[size_t(point)];
    if (matrix.cols != 0) m_state.spare.give(std::exchange(matrix, {}));
  }

 private:
  Result<void> begin(std::span<const Op> ops) {
    TRY(m_pass.job.checkpoint());
    if (!m_pass.tap) return {};
    for (const Op& op : ops) m_state.tap(op, m_pass);
    return {};
  }

  State& m_state;
  Pass& m_pass;
};

Matrix& Forward::State::value(int point, Pass& pass) {
  if (point == graph.stream) return *pass.stream;
  return pass.values[static_cast<size_t>(point)];
}

// The output's matrix; its buffer is taken from those that earlier ops have done with. What it
// holds is undefined unless the op works in place.
Matrix& Forward::State::output(const Op& op, Pass& pass) {
  if (op.output == pass.formsOf) pass.formsOf = kNone;
  Matrix& out = value(op.output, pass);
  if (op.output == graph.stream || out.cols != 0) return out;
  out = spare.take(pass.stream->rows, graph.points[static_cast<size_t>(op.output)].width);
  return out;
}

void Forward::State::tap(const Op& op, Pass& pass) {
  const auto find = [&](int point) { return point == kNone ? nullptr : &value(point, pass); };
  pass.tap(op, {find(op.input), find(op.input2), find(op.input3)});
}

Result<void> Forward::State::run(int block, Pass& pass) {
  pass.values.resize(graph.points.size());
  Runner runner(*this, pass);
  return interpreter.run(block, runner);
}

Result<void> Forward::State::runOp(const Op& op, Pass& pass) {
  const CpuKernels& kernels = cpuKernels();
  switch (op.kind) {
    case OpKind::Embed:
      return embed(op, pass);
    case OpKind::Norm:
      return norm(op, pass);
    case OpKind::Rope:
      return rope(op, pass);
    case OpKind::Attention: {
      const AttentionInputs inputs{value(op.input, pass), value(op.input2, pass),
                                   value(op.input3, pass)};
      return attend(op, inputs, pass.segments, variant.precision(), output(op, pass), pass.job);
    }
    default:
      break;
  }
  Matrix& out = output(op, pass);
  const Matrix& in = value(op.input, pass);
  const Matrix* in2 = op.input2 == kNone ? nullptr : &value(op.input2, pass);
  const auto gate = op.activation == Activation::Silu ? kernels.siluGate : kernels.geluGate;
  forRows(out.rows, out.cols, pass.job, [&](size_t row) {
    if (op.kind == OpKind::Scale) {
      kernels.scale(out.row(row), in.row(row), op.factor, out.cols);
    } else {
      const auto function = op.kind == OpKind::Add ? kernels.add : gate;
      function(out.row(row), in.row(row), in2->row(row), out.cols);
    }
  });
  return {};
}

Result<void> Forward::State::embed(const Op& op, Pass& pass) {
  std::vector<uint32_t> rows;
  rows.reserve(pass.tokens.size());
  for (TokenId token : pass.tokens) {
    if (token < 0 || static_cast<uint32_t>(token) >= graph.vocabulary) {
      return makeError(ErrorCode::InvalidArgument, variant.model().name(), ": the token id ", token,
                       " is outside the vocabulary of ", graph.vocabulary, ".");
    }
    rows.push_back(static_cast<uint32_t>(token));
  }
  Matrix& out = output(op, pass);
  return variant.gather(static_cast<size_t>(op.weight), rows, out.values.data(), pass.job);
}

Result<void> Forward::State::norm(const Op& op, Pass& pass) {
  TRY(const DecodedWeights weight, variant.weights(static_cast<size_t>(op.weight), pass.job));
  Matrix& out = output(op, pass);
  const Matrix& in = value(op.input, pass);
  forRows(out.rows, out.cols, pass.job, [&](size_t row) {
    for (size_t first = 0; first < out.cols; first += op.groupWidth) {
      cpuKernels().rmsNorm(out.row(row) + first, in.row(row) + first, weight->data(), op.groupWidth,
                           op.epsilon);
    }
  });
  return {};
}

// Ops of one input.
Result<void> Forward::State::linears(std::span<const Op> ops, Pass& pass) {
  std::vector<DecodedWeights> biases;
  for (const Op& op : ops) {
    DecodedWeights bias;
    if (op.bias != kNone) {
      TRY(bias, variant.weights(static_cast<size_t>(op.bias), pass.job));
    }
    biases.push_back(std::move(bias));
  }
  if (pass.formsOf != ops.front().input) {
    pass.forms.reset();
    pass.differenceForms.reset();
    if (pass.difference.rows != 0) spare.give(std::exchange(pass.difference, {}));
    pass.formsOf = ops.front().input;
  }
  if (variant.precision() == Precision::Chat) {
    TRY(const bool done, linearsPacked(ops, biases, pass));
    if (done) return {};
  }
  for (size_t i = 0; i < ops.size(); ++i) {
    TRY(linear(ops[i], biases[i] ? biases[i]->data() : nullptr, pass));
  }
  return {};
}

Result<void> Forward::State::linear(const Op& op, const float* bias, Pass& pass) {
  Matrix& out = output(op, pass);
  const Matrix& in = value(op.input, pass);
  const LinearBases::Base* base = nullptr;
  if (bases != nullptr && variant.precision() == Precision::Measure) {
    base = bases->find(size_t(&op - graph.ops.data()), variant);
  }
  if (base != nullptr && pass.difference.rows == 0) {
    pass.difference = spare.take(in.rows, in.cols);
    forRows(in.rows, in.cols, pass.job, [&](size_t row) {
      std::transform(in.row(row), in.row(row) + in.cols, base->input->row(pass.baseRow + row),
                     pass.difference.row(row), std::minus<float>());
    });
  }
  const bool exact = variant.precision() == Precision::Exact;
  const auto visit = [&](uint64_t first, uint64_t rows, const float* weights) {
    if (base != nullptr) {
      const LinearTile tile{weights, first, rows, nullptr, base->output->row(pass.baseRow) + first};
      return multiply(pass.difference, pass.differenceForms, tile, Products::OnePart, out,
                      pass.job);
    }
    return multiply(in, pass.forms, {weights, first, rows, bias},
                    exact ? Products::Exact : Products::TwoParts, out, pass.job);
  };
  return variant.tiles(static_cast<size_t>(op.weight), visit, pass.job);
}

// False when the cache has no room for one of the weights.
Result<bool> Forward::State::linearsPacked(std::span<const Op> ops,
                                           std::span<const DecodedWeights> biases, Pass& pass) {
  std::vector<PackedProduct> products;
  for (size_t i = 0; i < ops.size(); ++i) {
    TRY(auto packed, variant.packed(static_cast<size_t>(ops[i].weight), pass.job));
    if (!packed) return false;
    const float* bias = biases[i] ? biases[i]->data() : nullptr;
    products.push_back({std::move(packed), bias, &output(ops[i], pass)});
  }
  TRY(multiply(value(ops.front().input, pass), pass.forms, products, pass.job));
  return true;
}

Result<void> Forward::State::rope(const Op& op, Pass& pass) {
  const auto last = std::max_element(pass.positions.begin(), pass.positions.end());
  const uint32_t positions = last == pass.positions.end() ? 0 : *last + 1;
  TRY(const RotationTable* table, rotations.tableOf(op, positions, pass.job));
  Matrix& out = output(op, pass);
  const Matrix& in = value(op.input, pass);
  forRows(out.rows, out.cols, pass.job, [&](size_t row) {
    if (out.row(row) != in.row(row)) std::copy_n(in.row(row), out.cols, out.row(row));
    cpuKernels().rope({.heads = out.row(row),
                       .headCount = op.heads,
                       .headWidth = op.headWidth,
                       .pairs = table->pairs(),
                       .cosines = table->cosines(pass.positions[row]),
                       .sines = table->sines(pass.positions[row]),
                       .adjacent = op.rope.style == RopeStyle::AdjacentPairs});
  });
  return {};
}

Forward::Forward(const Variant& variant, SpareBuffers* spare)
    : m_state(std::make_unique<State>(variant, spare)) {}
Forward::~Forward() = default;

const Graph& Forward::graph() const { return m_state->graph; }
void Forward::setBases(const LinearBases* bases) { m_state->bases = bases; }

Result<Matrix> Forward::embed(std::span<const TokenId> tokens, JobContext& job) {
  Matrix stream(tokens.size(), graph().width);
  const OpTap noTap;
  Pass pass{.stream = &stream, .tokens = tokens, .tap = noTap, .job = job};
  TRY(m_state->run(-1, pass));
  return stream;
}

// The device is done with; true when the CPU can go on by itself.
bool Forward::State::leaveDevice(const Error& error, std::span<const Segment> segments) {
  if (error.code != ErrorCode::Device && error.code != ErrorCode::OutOfMemory) return false;
  note = strCat(error.message, " The CPU goes on.");
  variant.backend()->addNote(note);
  device.reset();
  return std::none_of(segments.begin(), segments.end(), [](const Segment& segment) {
    return segment.cache != nullptr && segment.firstPosition > 0;
  });
}

namespace {

Result<void> checkSegments(std::span<const Segment> segments, size_t rows) {
  size_t tokens = 0;
  for (const Segment& segment : segments) {
    const uint64_t end = uint64_t(segment.firstPosition) + segment.tokens;
    if (segment.cache == nullptr ? segment.firstPosition != 0 : end > segment.cache->capacity()) {
      return makeError(ErrorCode::InvalidArgument, "A segment of positions ", segment.firstPosition,
                       " to ", end, " exceeds its cache of ",
                       segment.cache == nullptr ? 0 : segment.cache->capacity(), " positions.");
    }
    tokens += segment.tokens;
  }
  CHECK(tokens == rows);
  return {};
}

}  // namespace

Result<void> Forward::blocks(int first, int last, Matrix& stream, std::span<const Segment> segments,
                             JobContext& job, const OpTap& tap, size_t baseRow) {
  CHECK(stream.cols == graph().width);
  TRY(checkSegments(segments, stream.rows));
  State& state = *m_state;
  if (state.device && !tap && first < std::min(last, state.device->blocks())) {
    const int end = std::min(last, state.device->blocks());
    if (auto done = state.device->run(first, end, stream, segments, job)) {
      first = end;
    } else if (!state.leaveDevice(done.error(), segments)) {
      return std::move(done.error());
    }
  }
  Pass pass{.stream = &stream, .segments = segments, .tap = tap, .job = job, .baseRow = baseRow};
  for (const Segment& segment : segments) {
    for (uint32_t i = 0; i < segment.tokens; ++i) {
      pass.positions.push_back(segment.firstPosition + i);
    }
  }
  for (int block = first; block < last; ++block) {
    TRY(state.run(block, pass));
  }
  return {};
}

namespace {

Matrix rowsOf(const Matrix& matrix, std::span<const uint32_t> rows) {
  Matrix chosen(rows.size(), matrix.cols);
  for (size_t i = 0; i < rows.size(); ++i) {
    CHECK(rows[i] < matrix.rows);
    std::copy_n(matrix.row(rows[i]), matrix.cols, chosen.row(i));
  }
  return chosen;
}

}  // namespace

Result<Matrix> Forward::head(const Matrix& stream, std::span<const uint32_t> rows, JobContext& job,
                             const OpTap& tap, size_t baseRow) {
  CHECK(stream.cols == graph().width);
  State& state = *m_state;
  Matrix chosen = rowsOf(stream, rows);
  if (state.device && !tap && state.device->hasHead() && !rows.empty()) {
    auto logits = state.device->head(chosen, job);
    if (logits || !state.leaveDevice(logits.error(), {})) return logits;
  }
  Pass pass{.stream = &chosen, .tap = tap, .job = job, .baseRow = baseRow};
  TRY(state.run(static_cast<int>(graph().blocks), pass));
  return std::move(pass.values[static_cast<size_t>(graph().logits)]);
}

Result<ComparedRows> Forward::compare(const Matrix& stream, std::span<const uint32_t> rows,
                                      const ReferenceLogits& reference, size_t firstRow,
                                      std::optional<size_t> shown, JobContext& job) {
  CHECK(firstRow + rows.size() <= reference.rows().size());
  State& state = *m_state;
  if (state.device && state.device->hasHead() && state.device->keep(reference)) {
    auto compared = state.device->compare(rowsOf(stream, rows), reference, firstRow, shown, job);
    if (compared || !state.leaveDevice(compared.error(), {})) return compared;
  }
  ComparedRows result{.kld = std::vector<double>(rows.size()), .shown = {}};
  const size_t slab = std::max<size_t>(1, kSlabBytes / (sizeof(float) * graph().vocabulary));
  for (size_t first = 0; first < rows.size(); first += slab) {
    TRY(job.checkpoint());
    const size_t count = std::min(slab, rows.size() - first);
    TRY(Matrix logits, head(stream, rows.subspan(first, count), job, {}, firstRow + first));
    job.parallelFor(count, 1, [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        result.kld[first + row] = klDivergence(reference.rows()[firstRow + first + row],
                                               logitRow({logits.row(row), logits.cols}));
      }
    });
    if (shown && *shown >= first && *shown < first + count) {
      result.shown.assign(logits.row(*shown - first), logits.row(*shown - first) + logits.cols);
    }
    state.spare.give(std::move(logits));
  }
  return result;
}

Result<Matrix> Forward::logits(Matrix& stream, std::span<const Segment> segments,
                               std::span<const uint32_t> rows, JobContext& job) {
  State& state = *m_state;
  if (state.device && state.device->holdsAll(rows.size())) {
    TRY(checkSegments(segments, stream.rows));
    auto logits = state.device->logits(stream, segments, rows, job);
    if (logits || !state.leaveDevice(logits.error(), segments)) return logits;
  }
  TRY(blocks(0, int(graph().blocks), stream, segments, job));
  if (rows.empty()) return Matrix(0, graph().vocabulary);
  return head(stream, rows, job);
}

Result<TopLogits> Forward::top(Matrix& stream, std::span<const Segment> segments, size_t count,
                               JobContext& job) {
  State& state = *m_state;
  if (state.device && state.device->holdsAll(1) && count <= DeviceForward::kMostTop) {
    TRY(checkSegments(segments, stream.rows));
    auto top = state.device->top(stream, segments, count, job);
    if (top || !state.leaveDevice(top.error(), segments)) return top;
  }
  const auto last = uint32_t(stream.rows - 1);
  TRY(const Matrix row, logits(stream, segments, {&last, 1}, job));
  return topLogits(row.values, count);
}

bool Forward::usesDevice() const { return m_state->device != nullptr; }
const std::string& Forward::note() const { return m_state->note; }

}  // namespace bitloom

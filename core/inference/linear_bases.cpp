// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/linear_bases.h"

#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kNoOp = SIZE_MAX;

bool sharesInput(const Op& op, const Op& previous) {
  return previous.kind == OpKind::Linear && previous.block == op.block &&
         previous.input == op.input;
}

// Floats of one row that a block's ops are kept in.
uint64_t floatsOfBlock(const Graph& graph, int block) {
  uint64_t floats = 0;
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    if (op.kind != OpKind::Linear || op.block != block) continue;
    floats += graph.points[size_t(op.output)].width;
    if (i == 0 || !sharesInput(op, graph.ops[i - 1])) {
      floats += graph.points[size_t(op.input)].width;
    }
  }
  return floats;
}

}  // namespace

bool LinearBases::pay(const Variant& reference) {
  return cpuKernels().tiles != nullptr && reference.precision() == Precision::Measure &&
         reference.backend() == nullptr;
}

LinearBases::LinearBases(const Variant& reference, size_t rows, uint64_t bytes)
    : m_reference(reference),
      m_firstBlock(int(reference.graph().blocks)),
      m_bases(reference.graph().ops.size()),
      m_writer(reference.graph().points.size(), kNoOp) {
  for (uint64_t needed = 0; m_firstBlock > 0; --m_firstBlock) {
    needed += rows * floatsOfBlock(reference.graph(), m_firstBlock - 1) * sizeof(float);
    if (needed > bytes) break;
  }
}

const Matrix* LinearBases::keep(const Matrix& matrix) { return &m_kept.emplace_back(matrix); }

// An op's output is seen when the next op reads it.
void LinearBases::see(const Op& op, const OpInputs& inputs) {
  const Graph& graph = m_reference.graph();
  const std::pair<int, const Matrix*> read[] = {
      {op.input, inputs.input}, {op.input2, inputs.input2}, {op.input3, inputs.input3}};
  for (const auto& [point, matrix] : read) {
    if (point == kNone || m_writer[size_t(point)] == kNoOp) continue;
    m_bases[m_writer[size_t(point)]].output = keep(*matrix);
    m_writer[size_t(point)] = kNoOp;
  }
  if (op.kind != OpKind::Linear || op.block < m_firstBlock) return;
  const size_t index = size_t(&op - graph.ops.data());
  const bool shares = index > 0 && sharesInput(op, graph.ops[index - 1]);
  m_bases[index].input = shares ? m_bases[index - 1].input : keep(*inputs.input);
  m_writer[size_t(op.output)] = index;
}

void LinearBases::setLogits(const Matrix& logits) {
  const size_t writer = m_writer[size_t(m_reference.graph().logits)];
  if (writer != kNoOp) m_bases[writer].output = &logits;
}

const LinearBases::Base* LinearBases::find(size_t index, const Variant& variant) const {
  const Base& base = m_bases[index];
  const Op& op = m_reference.graph().ops[index];
  const auto isSame = [&](int tensor) {
    return tensor == kNone ||
           variant.signatureOf(size_t(tensor)) == m_reference.signatureOf(size_t(tensor));
  };
  return base.output != nullptr && isSame(op.weight) && isSame(op.bias) ? &base : nullptr;
}

uint64_t LinearBases::bytes() const {
  uint64_t bytes = 0;
  for (const Matrix& matrix : m_kept) bytes += matrix.values.size() * sizeof(float);
  return bytes;
}

}  // namespace bitloom

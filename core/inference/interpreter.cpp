// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/interpreter.h"

#include <algorithm>

namespace bitloom {
namespace {

bool sharesInput(const Op& first, const Op& other) {
  return other.kind == OpKind::Linear && other.input == first.input;
}

}  // namespace

Interpreter::Interpreter(const Graph& graph) : m_graph(graph), m_lastUse(graph.points.size(), 0) {
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    for (const int point : {op.input, op.input2, op.input3, op.output}) {
      if (point != kNone) m_lastUse[size_t(point)] = i;
    }
  }
}

Result<void> Interpreter::run(int block, OpRunner& runner) const {
  const auto& ops = m_graph.ops;
  auto op = std::lower_bound(ops.begin(), ops.end(), block,
                             [](const Op& each, int b) { return each.block < b; });
  while (op != ops.end() && op->block == block) {
    auto end = op + 1;
    if (op->kind == OpKind::Linear) {
      while (end != ops.end() && end->block == block && sharesInput(*op, *end)) ++end;
      TRY(runner.linears({op, end}));
    } else {
      TRY(runner.other(*op));
    }
    for (; op != end; ++op) {
      for (const int point : {op->input, op->input2, op->input3}) {
        if (point == kNone || point == m_graph.stream) continue;
        if (m_lastUse[size_t(point)] == size_t(op - ops.begin())) runner.release(point);
      }
    }
  }
  return {};
}

}  // namespace bitloom

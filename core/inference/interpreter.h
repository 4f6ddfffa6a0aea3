// SPDX-License-Identifier: GPL-3.0-or-later
// Walks the ops of a graph, block by block, for whoever carries them out: the CPU, a device.
#pragma once
#include <span>
#include <vector>

#include "core/graph.h"
#include "kernels/base/result.h"

namespace bitloom {

// Carries out ops. Points hold what was written last until they are released.
class OpRunner {
 public:
  virtual ~OpRunner() = default;
  // Linear ops that read one point.
  virtual Result<void> linears(std::span<const Op> ops) = 0;
  // Any other op.
  virtual Result<void> other(const Op& op) = 0;
  // Nothing reads this point any more; never the residual stream.
  virtual void release(int point) = 0;
};

class Interpreter {
 public:
  explicit Interpreter(const Graph& graph);  // borrowed

  Result<void> run(int block, OpRunner& runner) const;

 private:
  const Graph& m_graph;
  std::vector<size_t> m_lastUse;  // by point: index of the last op that names it
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// 1 − cos between the residual stream after the tensor's own block as the reference has it and
// with this tensor coded, mean over tokens; after the embedding for it, of the logits for a head
// of its own. One block is run for a cell, not the model. The block-output error of EvoPress'
// baselines (arXiv 2410.14649) in its scale-free form.
#include <cmath>

#include "core/inference/forward.h"
#include "core/metric.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

class Borders {
 public:
  Borders(const MetricTask& task, JobContext& job) : m_task(task), m_job(job) {}

  Result<void> prepare() {
    for (uint32_t i = 0; i < m_task.layout.sequences; ++i) {
      m_segments.push_back({.tokens = m_task.layout.tokens});
    }
    for (uint32_t i = 0; i < m_task.layout.sequences; ++i) {
      for (uint32_t t = m_task.layout.firstScored; t < m_task.layout.tokens; ++t) {
        m_rows.push_back(i * m_task.layout.tokens + t);
      }
    }
    Forward forward(m_task.reference);
    TRY(Matrix stream, forward.embed(m_task.tokens, m_job));
    m_streams.push_back(std::move(stream));
    for (int block = 0; block < int(forward.graph().blocks); ++block) {
      TRY(m_job.checkpoint());
      m_streams.push_back(m_streams.back());
      TRY(forward.blocks(block, block + 1, m_streams.back(), m_segments, m_job));
    }
    return {};
  }

  Result<Estimate> measure(const CellKey& cell) {
    Variant changed = m_task.reference.copy();
    changed.setCalibration(m_task.calibration);
    changed.setTensor(cell.tensor, cell.codec, m_task.method);
    int block = int(m_task.reference.graph().blocks);
    for (const Op& op : m_task.reference.graph().ops) {
      if (op.weight == int(cell.tensor)) block = std::min(block, op.block);
    }
    Forward engine(changed);
    if (block < 0) {
      TRY(const Matrix ours, engine.embed(m_task.tokens, m_job));
      return compare(m_streams.front(), ours, true);
    }
    if (block == int(m_task.reference.graph().blocks)) {
      Forward reference(m_task.reference);
      TRY(const Matrix theirs, reference.head(m_streams.back(), m_rows, m_job));
      TRY(const Matrix ours, engine.head(m_streams.back(), m_rows, m_job));
      return compare(theirs, ours, false);
    }
    Matrix ours = m_streams[size_t(block)];
    TRY(engine.blocks(block, block + 1, ours, m_segments, m_job));
    return compare(m_streams[size_t(block) + 1], ours, true);
  }

 private:
  // `all`: matrices hold every token, of which the scored ones count.
  Estimate compare(const Matrix& theirs, const Matrix& ours, bool all) const {
    double sum = 0;
    for (size_t i = 0; i < m_rows.size(); ++i) {
      const size_t row = all ? m_rows[i] : i;
      sum += distance(theirs.row(row), ours.row(row), theirs.cols);
    }
    return {sum / double(m_rows.size()), 0, m_rows.size()};
  }

  // 1 − cos = ½·|u − v|² of the unit vectors, which keeps small differences.
  static double distance(const float* a, const float* b, size_t count) {
    const double lengthA = std::sqrt(cpuKernels().dot(a, a, count));
    const double lengthB = std::sqrt(cpuKernels().dot(b, b, count));
    if (lengthA == 0 || lengthB == 0) return lengthA == lengthB ? 0 : 1;
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      const double difference = double(a[i]) / lengthA - double(b[i]) / lengthB;
      sum += difference * difference;
    }
    return sum / 2;
  }

  const MetricTask& m_task;
  JobContext& m_job;
  std::vector<Segment> m_segments;
  std::vector<uint32_t> m_rows;   // scored
  std::vector<Matrix> m_streams;  // before block 0 … before the head
};

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  if (task.tokens.empty() || task.method == nullptr) {
    return makeError(ErrorCode::InvalidArgument, "hidden_cosine: needs a text and a method.");
  }
  Borders borders(task, job);
  TRY(borders.prepare());
  return measureCells(task, "hidden_cosine", sink, job,
                      [&](const CellKey& cell) { return borders.measure(cell); });
}

}  // namespace

extern const Metric metric_hidden_cosine;
const Metric metric_hidden_cosine = {
    .name = "hidden_cosine",
    .title = "Hidden state (proxy)",
    .summary =
        "How far the direction of the hidden state turns at the end of the tensor's own block "
        "when the tensor alone is coded. Takes one block's run for a cell; what later blocks make "
        "of it is not in it.",
    .unit = "1 − cosine",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 16, .tokens = 32, .firstScored = 8},
    .worth = 0.97,
    .measure = measure,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// LieQ's first diagnostic (arXiv 2508.03332): how much log perplexity grows when a block is left
// out, its residual path alone kept. In nats, since leaving out the first or last block makes the
// perplexity itself astronomic.
#include "core/metrics/layers/layer_scores.h"

namespace bitloom {
namespace {

class Drops {
 public:
  Drops(const MetricTask& task, const LayerStreams& layers, JobContext& job)
      : m_task(task), m_layers(layers), m_job(job), m_forward(task.reference) {}

  Result<std::vector<double>> measure() {
    const int blocks = int(m_forward.graph().blocks);
    TRY(const double whole, loss(m_layers.streams.back()));
    std::vector<double> scores;
    for (int skipped = 0; skipped < blocks; ++skipped) {
      TRY(m_job.checkpoint());
      Matrix stream = m_layers.streams[size_t(skipped)];
      TRY(m_forward.blocks(skipped + 1, blocks, stream, m_layers.segments, m_job));
      TRY(const double without, loss(stream));
      scores.push_back(without - whole);
    }
    return scores;
  }

 private:
  // Mean negative log likelihood of the text.
  Result<double> loss(const Matrix& stream) {
    TRY(const Matrix logits, m_forward.head(stream, m_layers.rows, m_job));
    double sum = 0;
    for (size_t i = 0; i < logits.rows; ++i) {
      const auto next = size_t(m_task.tokens[m_layers.rows[i] + 1]);
      sum += logitRow({logits.row(i), logits.cols}).logSum - double(logits.row(i)[next]);
    }
    return sum / double(logits.rows);
  }

  const MetricTask& m_task;
  const LayerStreams& m_layers;
  JobContext& m_job;
  Forward m_forward;
};

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  TRY(const LayerStreams layers, layerStreams(task, "perplexity_drop", job));
  TRY(std::vector<double> scores, Drops(task, layers, job).measure());
  return measureLayers(task, "perplexity_drop", std::move(scores), sink, job);
}

}  // namespace

extern const Metric metric_perplexity_drop;
const Metric metric_perplexity_drop = {
    .name = "perplexity_drop",
    .title = "Perplexity drop (proxy)",
    .summary =
        "How much log perplexity grows when the whole block is left out (LieQ), times the weight "
        "error. It says which blocks the model cannot do without; tensors of one block differ by "
        "their weight error alone.",
    .unit = "nats, roughly",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 16, .tokens = 32, .firstScored = 8},
    .worth = 0.6,
    .measure = measure,
};

}  // namespace bitloom

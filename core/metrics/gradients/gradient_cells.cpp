// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/metrics/gradients/gradient_cells.h"

#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr uint64_t kSeed = 1;

class Scan {
 public:
  Scan(const MetricTask& task, const GradientMetric& metric, const CellSink& sink, JobContext& job)
      : m_task(task), m_metric(metric), m_model(task.reference.model()), m_sink(sink), m_job(job) {
    for (const CellKey& key : scanCells(m_model, task.codecs)) {
      const std::string& name = m_model.tensors()[key.tensor].name;
      if (!task.known || !task.known(name, key.codec->name)) {
        m_wanted[key.tensor].push_back(key.codec);
      }
    }
    for (const Op& op : task.reference.graph().ops) {
      if (op.weight != kNone) m_firstUse.try_emplace(size_t(op.weight), op.block);
    }
  }

  Result<void> run() {
    if (m_wanted.empty()) return {};
    const GradientVisitor visitor{[this](const WeightFactors& factors) { return add(factors); },
                                  [this](int block) { return close(block); }};
    return gradientPass(m_task.reference, m_task.tokens, m_task.layout, m_metric.loss, kSeed,
                        visitor, m_job);
  }

 private:
  Result<void> add(const WeightFactors& factors) {
    const auto wanted = m_wanted.find(size_t(factors.op.weight));
    if (wanted == m_wanted.end()) return {};
    OpenTensor& open = m_open[wanted->first];
    if (open.encoded.empty()) {
      TRY(begin(wanted->first, wanted->second, open));
    }
    m_metric.add(factors, open);
    return {};
  }

  Result<void> begin(size_t tensor, const std::vector<const Codec*>& codecs, OpenTensor& open) {
    open.tensor = tensor;
    TRY(open.weights, m_task.reference.weights(tensor, m_job));
    Variant changed = m_task.reference.copy();
    changed.setCalibration(m_task.calibration);
    for (const Codec* codec : codecs) {
      changed.setTensor(tensor, codec, m_task.method);
      TRY(Encoded encoded, changed.encode(tensor, m_job));
      open.encoded.push_back(std::move(encoded));
      open.samples.emplace_back(m_task.layout.sequences);
    }
    return {};
  }

  // The backward pass meets a tensor's first use last.
  Result<void> close(int block) {
    for (auto open = m_open.begin(); open != m_open.end();) {
      if (m_firstUse.at(open->first) != block) {
        ++open;
        continue;
      }
      const Tensor& tensor = m_model.tensors()[open->first];
      for (size_t i = 0; i < open->second.encoded.size(); ++i) {
        TRY(m_job.checkpoint());
        const Codec& codec = *open->second.encoded[i].codec;
        Cell cell{.tensor = tensor.name,
                  .codec = std::string(codec.name),
                  .metric = std::string(m_metric.name),
                  .bytes = codec.rowBytes(tensor.rowLength()) * tensor.rows(),
                  .samples = {}};
        m_metric.finish(open->second, i, cell);
        TRY(m_sink(cell));
      }
      open = m_open.erase(open);
    }
    return {};
  }

  const MetricTask& m_task;
  const GradientMetric& m_metric;
  const Model& m_model;
  const CellSink& m_sink;
  JobContext& m_job;
  std::map<size_t, std::vector<const Codec*>> m_wanted;  // by tensor: cells that are not known
  std::map<size_t, int> m_firstUse;                      // by tensor: block of its first op
  std::map<size_t, OpenTensor> m_open;
};

}  // namespace

Result<void> measureByGradients(const MetricTask& task, const GradientMetric& metric,
                                const CellSink& sink, JobContext& job) {
  if (task.tokens.empty() || task.method == nullptr) {
    return makeError(ErrorCode::InvalidArgument, metric.name, ": needs a text and a method.");
  }
  return Scan(task, metric, sink, job).run();
}

}  // namespace bitloom

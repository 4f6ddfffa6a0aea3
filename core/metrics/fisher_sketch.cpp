// SPDX-License-Identifier: GPL-3.0-or-later
// KL divergence to second order: ½·E[⟨∇ log p(ŷ), Ŵ − W⟩²] per token, labels ŷ drawn from the
// model's own predictions, so that the expectation is the Fisher information (Martens, arXiv
// 1412.1193, §5). One pass forward and back gives a sample a_j for each sequence and cell; those of
// several tensors add up, so that a whole plan is predicted from the same numbers.
#include <cmath>

#include "core/metrics/fisher_sketch/sketch.h"

namespace bitloom {
namespace {

constexpr uint64_t kSeed = 1;

class Scan {
 public:
  Scan(const MetricTask& task, const CellSink& sink, JobContext& job)
      : m_task(task), m_model(task.reference.model()), m_sink(sink), m_job(job) {
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
                                  [this](int block) { return emit(block); }};
    return gradientPass(m_task.reference, m_task.tokens, m_task.layout, SampledLoss::ModelLabels,
                        kSeed, visitor, m_job);
  }

 private:
  Result<void> add(const WeightFactors& factors) {
    const auto tensor = size_t(factors.op.weight);
    const auto wanted = m_wanted.find(tensor);
    if (wanted == m_wanted.end()) return {};
    SketchedTensor& sketched = m_open[tensor];
    TRY(encode(tensor, wanted->second, sketched));
    TRY(const DecodedWeights weights, m_task.reference.weights(tensor, m_job));
    addInnerProducts(factors, weights, sketched, m_job);
    return {};
  }

  Result<void> encode(size_t tensor, const std::vector<const Codec*>& codecs,
                      SketchedTensor& sketched) {
    if (!sketched.encoded.empty()) return {};
    Variant changed = m_task.reference.copy();
    changed.setCalibration(m_task.calibration);
    for (const Codec* codec : codecs) {
      changed.setTensor(tensor, codec, m_task.method);
      TRY(Encoded encoded, changed.encode(tensor, m_job));
      sketched.encoded.push_back(std::move(encoded));
      sketched.samples.emplace_back(m_task.layout.sequences);
    }
    return {};
  }

  // The backward pass meets a tensor's first use last.
  Result<void> emit(int block) {
    for (auto open = m_open.begin(); open != m_open.end();) {
      if (m_firstUse.at(open->first) != block) {
        ++open;
        continue;
      }
      for (size_t i = 0; i < open->second.encoded.size(); ++i) {
        TRY(m_job.checkpoint());
        TRY(m_sink(cellOf(open->first, *open->second.encoded[i].codec, open->second.samples[i])));
      }
      open = m_open.erase(open);
    }
    return {};
  }

  // ½·a² per scored token is the square of a / √(2 · scored tokens).
  Cell cellOf(size_t index, const Codec& codec, const std::vector<double>& samples) const {
    const Tensor& tensor = m_model.tensors()[index];
    const double scored = m_task.layout.tokens - m_task.layout.firstScored;
    Cell cell{.tensor = tensor.name,
              .codec = std::string(codec.name),
              .metric = "fisher_sketch",
              .bytes = codec.rowBytes(tensor.rowLength()) * tensor.rows(),
              .samples = {}};
    std::vector<double> squares;
    for (const double a : samples) {
      cell.samples.push_back(float(a / std::sqrt(2 * scored)));
      squares.push_back(a * a / (2 * scored));
    }
    const Estimate value = estimate(squares);
    cell.value = value.mean;
    cell.error = value.error;
    return cell;
  }

  const MetricTask& m_task;
  const Model& m_model;
  const CellSink& m_sink;
  JobContext& m_job;
  std::map<size_t, std::vector<const Codec*>> m_wanted;  // by tensor: cells that are not known
  std::map<size_t, int> m_firstUse;                      // by tensor: block of its first op
  std::map<size_t, SketchedTensor> m_open;
};

Result<void> measure(const MetricTask& task, const CellSink& sink, JobContext& job) {
  if (task.tokens.empty() || task.method == nullptr) {
    return makeError(ErrorCode::InvalidArgument, "fisher_sketch: needs a text and a method.");
  }
  return Scan(task, sink, job).run();
}

}  // namespace

extern const Metric metric_fisher_sketch;
const Metric metric_fisher_sketch = {
    .name = "fisher_sketch",
    .title = "Fisher sketch (proxy)",
    .summary =
        "Predicted KL divergence, in nats per token, from gradients: one pass over the text for "
        "all tensors and codecs at once. It ranks cells as the measurement does and predicts "
        "small changes well; large ones come out too small.",
    .unit = "nats per token",
    .measured = false,
    .needsText = true,
    .needsCalibration = false,
    .probe = {.sequences = 96, .tokens = 64, .firstScored = 8},
    .quadratic = true,
    .measure = measure,
};

}  // namespace bitloom

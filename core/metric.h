// SPDX-License-Identifier: GPL-3.0-or-later
// A metric is one way to colour the heatmap. One file in core/metrics/ adds one; each says whether
// it is measured or a proxy.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/job.h"
#include "core/calibration.h"
#include "core/codec.h"
#include "core/live_loop.h"
#include "core/method.h"
#include "core/sensitivity.h"
#include "core/statistics.h"
#include "core/variant.h"

namespace bitloom {

struct MetricTask {
  const Variant& reference;
  std::vector<const Codec*> codecs;  // requested; cells carry the effective one
  const Method* method = nullptr;
  const Calibration* calibration = nullptr;  // needed by `output_error`
  LiveLoop* probe = nullptr;                 // needed by measured metrics
  std::span<const TokenId> tokens;           // of metrics with a probe: sequences end to end
  ProbeOptions layout;                       // of `tokens`
  // True for a cell that is known already (resume): it is skipped.
  std::function<bool(std::string_view tensor, std::string_view codec)> known;
};

// Receives each cell as soon as it is measured, on the job's thread. An error stops the scan.
using CellSink = std::function<Result<void>(const Cell&)>;

struct Metric {
  std::string_view name;
  std::string_view title;
  std::string_view summary;  // plain language: what it says and what it does not
  std::string_view unit;
  bool measured;  // false: a proxy
  bool needsText;
  bool needsCalibration;
  // Sequences that the text is cut into unless the user says otherwise; of metrics that run the
  // model on such. 0 sequences: none.
  ProbeOptions probe = {.sequences = 0};
  // A cell's value is the mean of its samples' squares, and samples of several tensors add up
  // before they are squared.
  bool quadratic = false;
  // How well it ranks cells: rank correlation with `kld` over all body tensors of SmolLM2-135M at
  // three codecs (README, "Metrics"); 1 for what is measured itself.
  double worth = 0;
  bool needsMoments = false;  // E[x·xᵀ] of the calibration (core/calibration.h)
  Result<void> (*measure)(const MetricTask& task, const CellSink& sink, JobContext& job);
};

std::span<const Metric* const> metrics();
const Metric* findMetric(std::string_view name);
std::vector<const Metric*> metricsByWorth();  // the best first

// Cells that a scan will visit: quantizable tensors × distinct effective codecs, in a useful order.
struct CellKey {
  size_t tensor;
  const Codec* codec;  // effective
};
std::vector<CellKey> scanCells(const Model& model, std::span<const Codec* const> codecs);

// For metrics that take one cell at a time: walks `scanCells`, leaves out what is known, fills in
// names and bytes around the value and error of `measureCell`, tells progress in cells.
Result<void> measureCells(const MetricTask& task, std::string_view metric, const CellSink& sink,
                          JobContext& job,
                          const std::function<Result<Estimate>(const CellKey&)>& measureCell);

// For metrics of the probe's divergence; the error is the standard error over its sequences.
Result<void> measureDivergence(const MetricTask& task, std::string_view metric,
                               const CellSink& sink, JobContext& job);

// Σ w_j·(W − Ŵ)²_ij and Σ w_j·W²_ij over a tensor's weights W as the reference has them and as
// `codec` and `method` would store them. `columns`: one w_j per column, or empty for all ones.
struct CodingError {
  double squaredError = 0;
  double squaredWeights = 0;
  double relative() const;  // 0 for a tensor of zeros that stays so
};
Result<CodingError> codingError(const MetricTask& task, const CellKey& cell,
                                std::span<const float> columns, JobContext& job);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// A scan from start to end, as window and command line run it: calibration when the metric wants
// it, the probe's reference, then cell by cell into the store. A scan that was stopped goes on
// where it was, since the store has its cells.
#pragma once
#include <string>
#include <vector>

#include "core/experiments/store.h"
#include "core/metric.h"

namespace bitloom {

class Tokenizer;

struct ScanRequest {
  const Metric* metric = nullptr;
  std::vector<const Codec*> codecs;
  std::string textName;  // for people; both empty for metrics without a text
  std::string text;
  ProbeOptions probe;  // of metrics that cut the text into sequences (Metric::probe)
  // Of measured and quadratic metrics: whole plans that are measured after the cells, half
  // of them random mixes and the others solved, so that predictions are corrected and have an
  // interval.
  uint32_t trials = 0;
  bool resume = true;              // keep the store's cells; false measures all of them again
  const Method* method = nullptr;  // by which tensors are encoded; null: nearest
  const Calibration* calibration = nullptr;  // for a method that needs one; borrowed
};

// Under which the store has the cells: model, metric, method, and text with the calibration that
// the method uses.
Result<ScanKey> scanKey(const Model& model, const Tokenizer* tokenizer, const ScanRequest& request);

// `onCell` is called for each new cell after it is in the store; may be empty. The result holds all
// cells of the scan, old and new. On cancel the cells measured so far stay in the store.
Result<Sensitivity> scan(const Variant& reference, const Tokenizer* tokenizer,
                         const ScanRequest& request, ExperimentStore& store, const CellSink& onCell,
                         JobContext& job);

}  // namespace bitloom

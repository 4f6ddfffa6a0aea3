// SPDX-License-Identifier: GPL-3.0-or-later
// What background jobs need of the open model. Shared by them and the document, so that a job may
// outlive the model's stay in the window. Immutable but for the calibration, which is made once.
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "core/calibration.h"
#include "core/inference/tokenizer.h"
#include "core/metric.h"
#include "core/scan.h"
#include "core/strata.h"
#include "core/variant.h"

namespace bitloom {

struct ModelWork {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: the model has none
  WeightCache* weights = nullptr;
  NamedText text;  // that scans and probes read; calibration has the built-in one

  Result<Variant> reference() const { return Variant::create(model, *weights); }

  // For a plan whose methods ask for one, else null. Kept from the first job that made it.
  Result<std::shared_ptr<const Calibration>> calibrationFor(const Plan& plan, JobContext& job);

 private:
  // Moments are kept in a file beside the store, and taken from there the next time.
  Result<Calibration> calibrateOn(const CorpusPart& part, bool moments, JobContext& job);

  std::mutex m_mutex;
  std::shared_ptr<const Calibration> m_calibration;
};

// The whole of a file; of the built-in calibration text for an empty path. Held-out text is for
// proofs alone.
Result<NamedText> workingText(const std::filesystem::path& path);
ScanRequest scanRequest(const Metric& metric, std::vector<const Codec*> codecs,
                        const NamedText& text);

}  // namespace bitloom

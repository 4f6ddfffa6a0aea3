// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/scan.h"

#include <iterator>

#include "core/calibration.h"
#include "core/inference/tokenizer.h"
#include "core/io/sha256.h"
#include "core/trial_plans.h"

namespace bitloom {
namespace {

constexpr uint64_t kTrialSeed = 1;

Result<std::vector<TokenId>> tokensOf(const Tokenizer* tokenizer, const ScanRequest& request) {
  if (tokenizer == nullptr) {
    return makeError(ErrorCode::NotFound, request.metric->title,
                     ": needs a text, and this model has no tokenizer.");
  }
  return probeTokens(*tokenizer, request.text, request.probe);
}

const Method& methodOf(const ScanRequest& request) {
  return request.method != nullptr ? *request.method : *findMethod("nearest");
}

// Identifies what was measured: the probe's tokens and how they are scored, or the calibration
// text; and what the method was calibrated on.
std::string textHash(const ScanRequest& request, const std::vector<TokenId>& tokens) {
  Sha256 hash;
  if (!tokens.empty()) {
    const uint32_t layout[] = {request.probe.sequences, request.probe.tokens,
                               request.probe.firstScored};
    hash.update(std::as_bytes(std::span(layout)));
    if (const double& tolerance = request.probe.tolerance; tolerance > 0) {
      hash.update(std::as_bytes(std::span(&tolerance, 1)));
    }
    hash.update(std::as_bytes(std::span(tokens)));
  } else {
    hash.update(std::as_bytes(std::span(request.text)));
  }
  if (methodOf(request).needsCalibration && request.calibration != nullptr)
    hash.update(request.calibration->hash);
  return hash.hex();
}

// Measures what the store still lacks of the request's trials.
Result<void> measureTrials(const Variant& reference, const Tokenizer& tokenizer,
                           const ScanRequest& request, const Calibration* calibration,
                           ExperimentStore& store, int64_t scan, JobContext& job) {
  TRY(const Sensitivity cells, store.cells(scan));
  if (cells.plans.size() >= request.trials) return {};
  const Predictor predictor(reference.model(), cells);
  const uint32_t solved = request.trials / 2;
  TRY(std::vector<Plan> plans,
      randomMixes(reference.model(), request.codecs, methodOf(request).name,
                  request.trials - solved, kTrialSeed));
  TRY(std::vector<Plan> others,
      solvedPlans(reference.model(), reference.graph(), cells, request.codecs, solved, 0.5, job));
  std::move(others.begin(), others.end(), std::back_inserter(plans));
  const ProbeOptions options;
  TRY(auto tokens, probeTokens(tokenizer, request.text, options));
  TRY(const auto probe, LiveLoop::create(reference, std::move(tokens), options, job));
  for (size_t i = cells.plans.size(); i < plans.size(); ++i) {
    job.step(strCat("plan ", i + 1, " of ", plans.size(), ", to correct predictions"));
    TRY(const PredictedPlan tried,
        tryPlan(reference, predictor, plans[i], calibration, *probe, job));
    TRY(store.addTrial(scan, tried));
  }
  return {};
}

}  // namespace

Result<ScanKey> scanKey(const Model& model, const Tokenizer* tokenizer,
                        const ScanRequest& request) {
  ScanKey key{model.fingerprint(), std::string(request.metric->name),
              std::string(methodOf(request).name), ""};
  std::vector<TokenId> tokens;
  if (request.metric->probe.sequences > 0) {
    TRY(tokens, tokensOf(tokenizer, request));
  }
  if (request.metric->needsText || methodOf(request).needsCalibration)
    key.textHash = textHash(request, tokens);
  return key;
}

Result<Sensitivity> scan(const Variant& reference, const Tokenizer* tokenizer,
                         const ScanRequest& request, ExperimentStore& store, const CellSink& onCell,
                         JobContext& job) {
  const Metric& metric = *request.metric;
  const Method& method = methodOf(request);
  if (method.needsCalibration && request.calibration == nullptr) {
    return makeError(ErrorCode::InvalidArgument, "A scan by method ", method.name,
                     " needs a calibration, and none was given.");
  }
  TRY(auto key, scanKey(reference.model(), tokenizer, request));
  Sensitivity known;
  TRY(auto earlier, store.findScan(key));
  if (request.resume && earlier) {
    TRY(known, store.cells(*earlier));
  }

  Run run;
  run.kind = RunKind::Scan;
  run.model = reference.model().name();
  run.fingerprint = key.fingerprint;
  run.title = strCat(metric.title, " scan");
  run.state = "running";
  TRY(auto id, store.beginScan(key, run));

  auto measureAll = [&]() -> Result<void> {
    Calibration calibration;
    std::unique_ptr<LiveLoop> probe;
    const Calibration* statistics = request.calibration;
    if (metric.needsCalibration && statistics == nullptr) {
      if (tokenizer == nullptr) TRY(tokensOf(tokenizer, request));
      job.step("calibration");
      const CorpusPart text = plainPart(request.textName, request.text);
      const CalibrateOptions options{.moments = metric.needsMoments};
      TRY(calibration, calibrate(reference, *tokenizer, {&text, 1}, options, job));
      statistics = &calibration;
    }
    std::vector<TokenId> tokens;
    if (metric.probe.sequences > 0) {
      TRY(tokens, tokensOf(tokenizer, request));
    }
    if (metric.measured) {
      job.step("reference");
      TRY(probe, LiveLoop::create(reference, tokens, request.probe, job));
    }
    MetricTask task{.reference = reference,
                    .codecs = request.codecs,
                    .method = &method,
                    .calibration = statistics,
                    .probe = probe.get(),
                    .tokens = tokens,
                    .layout = request.probe,
                    .known = {}};
    task.known = [&](std::string_view tensor, std::string_view codec) {
      return known.find(tensor, codec) != nullptr;
    };
    TRY(metric.measure(
        task,
        [&](const Cell& cell) -> Result<void> {
          TRY(store.addCell(id, cell));
          return onCell ? onCell(cell) : Result<void>();
        },
        job));
    if (!(metric.quadratic || metric.measured) || request.trials == 0) return {};
    return measureTrials(reference, *tokenizer, request, statistics, store, id, job);
  };
  const auto outcome = measureAll();

  TRY(auto stored, store.run(id));
  stored.state = outcome                                        ? "done"
                 : outcome.error().code == ErrorCode::Cancelled ? "cancelled"
                                                                : "failed";
  TRY(store.update(stored));
  if (!outcome) return outcome.error();
  TRY(auto result, store.cells(id));
  result.metric = key.metric;
  result.method = key.method;
  result.fingerprint = key.fingerprint;
  result.text = request.textName;
  result.textHash = key.textHash;
  if (metric.probe.sequences > 0)
    result.tokens = uint64_t(request.probe.sequences) * request.probe.tokens;
  return result;
}

}  // namespace bitloom

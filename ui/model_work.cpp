// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/model_work.h"

#include <algorithm>

#include "core/builtin.h"

namespace bitloom {
namespace {

constexpr uint32_t kTrials = 16;  // plans measured after a sketch

}  // namespace

Result<std::string> workingText() {
  TRY(auto path, builtinCalibrationText());
  return readText(path);
}

Result<ScanRequest> scanRequest(const Metric& metric, std::vector<const Codec*> codecs) {
  ScanRequest request;
  request.metric = &metric;
  request.codecs = std::move(codecs);
  request.probe = metric.probe;
  if (metric.quadratic) request.trials = kTrials;
  if (!metric.needsText) return request;
  TRY(auto path, builtinCalibrationText());
  TRY(request.text, readText(path));
  request.textName = path.filename().string();
  return request;
}

Result<std::shared_ptr<const Calibration>> ModelWork::calibrationFor(const Plan& plan,
                                                                     JobContext& job) {
  const bool needed = std::any_of(plan.tensors.begin(), plan.tensors.end(), [](const Choice& c) {
    return c.effective != nullptr && c.method != nullptr && c.method->needsCalibration;
  });
  if (!needed) return std::shared_ptr<const Calibration>();
  if (tokenizer == nullptr) {
    return makeError(ErrorCode::NotFound, model->name(),
                     ": the recipe needs a calibration text, and this model has no tokenizer.");
  }
  {
    const std::scoped_lock lock(m_mutex);
    if (m_calibration != nullptr) return m_calibration;
  }
  // Without the lock: a job that held it would stand aside at its checkpoints for the very job of
  // higher priority that waits for the lock. Two that begin together make the same twice.
  job.step("calibration");
  TRY(auto path, builtinCalibrationText());
  TRY(auto text, readText(path));
  TRY(auto variant, reference());
  TRY(auto made, calibrate(variant, *tokenizer, text, {.dataset = path.filename().string()}, job));
  const std::scoped_lock lock(m_mutex);
  if (m_calibration == nullptr)
    m_calibration = std::make_shared<const Calibration>(std::move(made));
  return m_calibration;
}

}  // namespace bitloom

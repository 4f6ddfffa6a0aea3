// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/model_work.h"

#include "core/builtin.h"

namespace bitloom {
namespace {

constexpr uint32_t kTrials = 16;  // plans measured after a scan

}  // namespace

Result<NamedText> workingText(const std::filesystem::path& path) {
  std::filesystem::path file = path;
  if (file.empty()) {
    TRY(file, builtinCalibrationText());
  }
  TRY(std::string text, readText(file));
  return NamedText{file.filename().string(), std::move(text)};
}

ScanRequest scanRequest(const Metric& metric, std::vector<const Codec*> codecs,
                        const NamedText& text) {
  ScanRequest request;
  request.metric = &metric;
  request.codecs = std::move(codecs);
  request.probe = metric.probe;
  request.trials = kTrials;
  if (!metric.needsText) return request;
  request.text = text.text;
  request.textName = text.name;
  return request;
}

namespace {

// Beside the store; one for each model, since the text is always the same.
std::filesystem::path momentsFile(const Model& model) {
  return ExperimentStore::defaultPath().parent_path() / "calibrations" /
         (model.fingerprint().substr(0, 32) + ".gguf");
}

}  // namespace

Result<Calibration> ModelWork::calibrateOn(const CorpusPart& part, bool moments, JobContext& job) {
  TRY(auto variant, reference());
  if (!moments) return calibrate(variant, *tokenizer, {&part, 1}, {}, job);
  const std::filesystem::path path = momentsFile(*model);
  if (auto known = loadCalibration(path);
      known && known->sources.size() == 1 && known->sources[0].hash == hashOf(part)) {
    return known;
  }
  std::error_code ignored;  // the writer says what is wrong with the folder
  std::filesystem::create_directories(path.parent_path(), ignored);
  return calibrateInto(path, variant, *tokenizer, {&part, 1}, {.moments = true}, job);
}

Result<std::shared_ptr<const Calibration>> ModelWork::calibrationFor(const Plan& plan,
                                                                     JobContext& job) {
  bool needed = false, moments = false;
  for (const Choice& choice : plan.tensors) {
    if (choice.effective == nullptr || choice.method == nullptr) continue;
    needed |= choice.method->needsCalibration;
    moments |= choice.method->needsMoments;
  }
  if (!needed) return std::shared_ptr<const Calibration>();
  if (tokenizer == nullptr) {
    return makeError(ErrorCode::NotFound, model->name(),
                     ": the recipe needs a calibration text, and this model has no tokenizer.");
  }
  const auto serves = [&] {
    return m_calibration != nullptr && (!moments || m_calibration->hasMoments());
  };
  {
    const std::scoped_lock lock(m_mutex);
    if (serves()) return m_calibration;
  }
  // Without the lock: a job that held it would stand aside at its checkpoints for the very job of
  // higher priority that waits for the lock. Two that begin together make the same twice.
  job.step("calibration");
  TRY(NamedText words, workingText({}));
  TRY(auto made, calibrateOn(plainPart(words.name, std::move(words.text)), moments, job));
  const std::scoped_lock lock(m_mutex);
  if (!serves()) m_calibration = std::make_shared<const Calibration>(std::move(made));
  return m_calibration;
}

}  // namespace bitloom

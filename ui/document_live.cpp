// SPDX-License-Identifier: GPL-3.0-or-later
// The measured answer to a change. One job at a time; when it ends and the plan has moved on, the
// newest plan is next. What lies between is never measured.
#include <cmath>

#include "ui/document_private.h"

namespace bitloom {
namespace {
constexpr double kPatience = 1.5;  // seconds after which an outdated measurement is given up
constexpr size_t kTextTokens = 9;  // of the probe's first sequence that people see
}  // namespace

Result<void> Document::Live::prepare(JobContext& job) {
  if (loop != nullptr) return {};
  if (work->tokenizer == nullptr) {
    return makeError(ErrorCode::NotFound, work->model->name(),
                     ": nothing can be measured, since the model has no tokenizer.");
  }
  TRY(auto source, work->reference());
  TRY(auto changed, work->reference());
  reference = std::move(source);
  variant = std::move(changed);
  device.open();
  device.computeOn(*reference);
  device.computeOn(*variant);
  use = device.use(*reference);
  const ProbeOptions options;
  TRY(auto tokens, probeTokens(*work->tokenizer, work->text.text, options));
  const size_t first = std::min<size_t>(options.tokens, tokens.size());
  const size_t shown = std::min(kTextTokens, first);
  text = validUtf8(work->tokenizer->decode(std::span(tokens).subspan(first - shown, shown)));
  TRY(loop, LiveLoop::create(*reference, std::move(tokens), options, job));
  return {};
}

Result<ProbeResult> Document::Live::measure(const Plan& plan, JobContext& job) {
  TRY(prepare(job));
  TRY(auto statistics, work->calibrationFor(plan, job));
  variant->setPlan(plan, statistics.get());
  calibration = std::move(statistics);
  auto result = loop->measure(*variant, job);
  use = device.use(*variant);
  return result;
}

void Document::measureSoon() {
  if (!canInfer()) return;
  if (m_measureJob == 0) {
    m_measureTimer.start();
    return;
  }
  m_measureAgain = true;
  for (const JobList::Entry& entry : m_jobs.entries()) {
    if (entry.id == m_measureJob && entry.progress.seconds > kPatience && m_live->loop != nullptr) {
      m_jobs.cancel(entry.id);
    }
  }
}

void Document::measure() {
  if (m_measureJob != 0 || m_previewing || !canInfer()) return;
  m_measureAgain = false;
  if (m_live == nullptr) {
    m_live = std::make_shared<Live>();
    m_live->work = m_work;
    m_live->device = m_devices.forJob();
  }
  m_damage.kind = Damage::Kind::Measuring;
  m_damage.note.clear();
  emit damageChanged();
  auto id = std::make_shared<int>(0);
  *id = m_jobs.start<ProbeResult>(
      tr("Measure"), JobPriority::Probe, this,
      [live = m_live, plan = m_plan](JobContext& job) { return live->measure(plan, job); },
      [this, id, hash = m_plan.hash](Result<ProbeResult> result) {
        if (*id != m_measureJob) return;  // of a model that is no longer open
        m_measureJob = 0;
        measured(std::move(result), hash);
      },
      /*quiet=*/true);
  m_measureJob = *id;
}

// What it has on a device is given back when nothing runs there: not on the window's thread.
void Document::leaveLive() {
  if (m_live == nullptr) return;
  auto left = std::make_shared<std::shared_ptr<Live>>(std::move(m_live));
  m_jobs.start<bool>(
      tr("Leave a measurement"), JobPriority::Probe, this,
      [left](JobContext&) {
        left->reset();
        return Result<bool>(true);
      },
      [](Result<bool>) {}, /*quiet=*/true);
}

void Document::measureElsewhere() {
  if (m_measureJob != 0) m_jobs.cancel(m_measureJob);
  m_measureJob = 0;
  m_measureAgain = false;
  leaveLive();
  if (isOpen()) show(Plan(m_plan), m_previewing);
}

void Document::measured(Result<ProbeResult> result, const std::string& planHash) {
  m_probeText = QString::fromStdString(m_live->text).simplified();
  m_devices.report(m_live->use);
  const bool current = planHash == m_plan.hash && !m_previewing;
  if (current && result) {
    m_damage = {
        .kind = Damage::Kind::Measured, .value = result->kld.mean, .predicted = m_damage.predicted};
    m_damage.error = result->kld.error;
    m_damage.seconds = result->seconds;
    const ProbeOptions& probe = m_live->loop->options();
    m_damage.tokens = probe.sequences * probe.tokens;
  } else if (current && result.error().code != ErrorCode::Cancelled) {
    m_damage.kind = std::isfinite(m_damage.value) ? Damage::Kind::Predicted : Damage::Kind::Unknown;
    m_damage.note = QString::fromStdString(result.error().message);
    emit failed(tr("Measure"), m_damage.note);
  }
  if (result) m_probe = std::move(*result);
  emit damageChanged();
  if (!m_previewing && (m_measureAgain || planHash != m_plan.hash)) m_measureTimer.start();
}

}  // namespace bitloom

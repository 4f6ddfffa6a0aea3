// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/job_strip.h"

#include <QHBoxLayout>
#include <QMenu>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/format.h"
#include "ui/widgets/card.h"

namespace bitloom {
namespace {

constexpr int kBarSteps = 1000;
constexpr int kBarWidth = 260;
constexpr int kNarrowBar = 100;   // where the window is
constexpr int kTitleWidth = 400;  // at least, before a title is cut short
constexpr size_t kHistoryLines = 12;

QString stateText(JobList::State state) {
  switch (state) {
    case JobList::State::Running:
      return JobStrip::tr("running");
    case JobList::State::Done:
      return JobStrip::tr("done");
    case JobList::State::Cancelled:
      return JobStrip::tr("stopped");
    case JobList::State::Failed:
      return JobStrip::tr("failed");
  }
  return {};
}

QString unitName(const std::string& unit) {
  if (unit == "cells") return JobStrip::tr("cells");
  if (unit == "tokens") return JobStrip::tr("tokens");
  if (unit == "windows") return JobStrip::tr("windows");
  return QString::fromStdString(unit);
}

}  // namespace

QString progressText(const JobList::Entry& entry) {
  const JobProgress& p = entry.progress;
  const QString step = QString::fromStdString(p.step);
  if (p.total == 0) {
    const QString time = p.seconds >= 1 ? formatDuration(p.seconds) : QString();
    return step.isEmpty() || time.isEmpty() ? step + time : step + " · " + time;
  }
  const double rate = p.seconds > 0 ? double(p.done) / p.seconds : 0;
  const bool bytes = p.unit == "bytes";
  QStringList parts;
  if (bytes) {
    parts << JobStrip::tr("%1 of %2").arg(formatGB(p.done), formatGB(p.total));
    if (rate > 0) parts << JobStrip::tr("%1/s").arg(formatGB(uint64_t(rate)));
  } else {
    parts << JobStrip::tr("%1 of %2 %3")
                 .arg(formatGrouped(p.done), formatGrouped(p.total), unitName(p.unit));
    if (rate > 0) parts << JobStrip::tr("%1 /s").arg(rate, 0, 'f', rate < 10 ? 1 : 0);
  }
  if (entry.paused) {
    parts << JobStrip::tr("paused");
  } else if (rate > 0 && p.done < p.total) {
    parts << JobStrip::tr("%1 left").arg(formatDuration(double(p.total - p.done) / rate));
  }
  return parts.join(" · ");
}

JobStrip::JobStrip(JobList& jobs, QWidget* parent) : QWidget(parent), m_jobs(jobs) {
  setObjectName("jobStrip");
  setProperty("surface", "panel");
  setAttribute(Qt::WA_StyledBackground);
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(20, 4, 14, 4);
  layout->setSpacing(12);
  m_lines = new QVBoxLayout;
  m_lines->setSpacing(0);
  m_idle = makeLabel(tr("No job is running"), "faint", this);
  m_idle->setObjectName("idleLabel");
  m_lines->addWidget(m_idle);
  layout->addLayout(m_lines, 1);
  m_history = makeButton({}, "historyButton", Rank::Link, this);
  m_history->setProperty("tone", "faint");
  layout->addWidget(m_history, 0, Qt::AlignVCenter);
  setMinimumHeight(42);
  connect(m_history, &QPushButton::clicked, this, &JobStrip::showHistory);
  connect(&jobs, &JobList::changed, this, &JobStrip::refresh);
  refresh();
}

JobStrip::Line JobStrip::makeLine() {
  Line line{};
  line.widget = new QWidget(this);
  auto* layout = new QHBoxLayout(line.widget);
  layout->setContentsMargins(0, 2, 0, 2);
  layout->setSpacing(16);
  line.title = makeLabel({}, "", line.widget);
  line.bar = new QProgressBar(line.widget);
  line.bar->setObjectName("jobBar");
  line.bar->setTextVisible(false);
  line.bar->setMinimumWidth(kNarrowBar);
  line.bar->setMaximumWidth(kBarWidth);
  line.text = makeLabel({}, "faint", line.widget);
  line.text->setObjectName("jobProgressLabel");
  line.text->setMinimumWidth(
      fontMetrics().horizontalAdvance("1 076 of 1 512 cells · 41 /s · 11 s left"));
  line.pause = makeButton(tr("Pause"), "pauseJobButton", Rank::Link, line.widget);
  line.stop = makeButton(tr("Stop"), "stopJobButton", Rank::Link, line.widget);
  for (QWidget* part : {static_cast<QWidget*>(line.title), static_cast<QWidget*>(line.bar),
                        static_cast<QWidget*>(line.text), static_cast<QWidget*>(line.pause),
                        static_cast<QWidget*>(line.stop)}) {
    layout->addWidget(part, 0, Qt::AlignVCenter);
  }
  layout->addStretch();
  m_lines->addWidget(line.widget);
  return line;
}

void JobStrip::show(Line& line, const JobList::Entry& entry) {
  if (line.id != entry.id) {
    line.id = entry.id;
    line.pause->disconnect(this);
    line.stop->disconnect(this);
    connect(line.stop, &QPushButton::clicked, this, [this, id = entry.id] { m_jobs.cancel(id); });
    connect(line.pause, &QPushButton::clicked, this, [this, id = entry.id] {
      const auto& all = m_jobs.entries();
      const auto at =
          std::find_if(all.begin(), all.end(), [id](const auto& e) { return e.id == id; });
      if (at != all.end()) m_jobs.setPaused(id, !at->paused);
    });
    line.title->setText(
        fontMetrics().elidedText(entry.title, Qt::ElideRight, std::max(kTitleWidth, width() / 3)));
    line.title->setToolTip(entry.title);
    line.bar->setAccessibleName(entry.title);
    line.stop->setAccessibleName(tr("Stop %1").arg(entry.title));
  }
  const JobProgress& p = entry.progress;
  line.bar->setRange(0, kBarSteps);
  line.bar->setValue(
      p.total == 0 ? 0 : int(std::min(1.0, double(p.done) / double(p.total)) * kBarSteps));
  line.text->setText(progressText(entry));
  line.pause->setText(entry.paused ? tr("Continue") : tr("Pause"));
  line.pause->setAccessibleName(tr("%1 %2").arg(line.pause->text(), entry.title));
}

void JobStrip::refresh() {
  std::vector<const JobList::Entry*> running;
  int finished = 0;
  for (const JobList::Entry& entry : m_jobs.entries()) {
    if (entry.quiet) continue;
    if (entry.state == JobList::State::Running)
      running.push_back(&entry);
    else
      ++finished;
  }
  while (m_shown.size() < running.size()) m_shown.push_back(makeLine());
  for (size_t i = 0; i < m_shown.size(); ++i) {
    m_shown[i].widget->setVisible(i < running.size());
    if (i < running.size()) show(m_shown[i], *running[i]);
  }
  m_idle->setVisible(running.empty());
  m_history->setText(tr("History: %n job(s) ▴", nullptr, finished));
  m_history->setEnabled(finished > 0);
}

void JobStrip::showHistory() {
  auto* menu = new QMenu(this);
  menu->setAttribute(Qt::WA_DeleteOnClose);
  menu->setObjectName("historyMenu");
  size_t lines = 0;
  const auto& all = m_jobs.entries();
  for (auto entry = all.rbegin(); entry != all.rend() && lines < kHistoryLines; ++entry) {
    if (entry->quiet || entry->state == JobList::State::Running) continue;
    ++lines;
    QString text = tr("%1 · %2").arg(entry->title, stateText(entry->state));
    if (!entry->message.isEmpty()) {
      text += " · " + fontMetrics().elidedText(entry->message, Qt::ElideRight, 420);
    }
    QAction* action = menu->addAction(text.replace("&", "&&"));
    action->setToolTip(entry->message);
    action->setEnabled(entry->run != 0);
    connect(action, &QAction::triggered, this, [this, run = entry->run] { emit runChosen(run); });
  }
  const QSize size = menu->sizeHint();
  menu->popup(m_history->mapToGlobal(QPoint(m_history->width() - size.width(), -size.height())));
}

}  // namespace bitloom

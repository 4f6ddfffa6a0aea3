// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/jobs/job_list.h"

#include <algorithm>

namespace bitloom {
namespace {
constexpr int kPollMilliseconds = 100;
constexpr size_t kHistory = 60;  // finished entries that are kept
}  // namespace

JobList::JobList(Workers& workers, QObject* parent) : QObject(parent), m_workers(workers) {
  m_timer.setInterval(kPollMilliseconds);
  connect(&m_timer, &QTimer::timeout, this, &JobList::poll);
}

JobList::~JobList() {
  for (const auto& running : m_running) {
    running->control->setPaused(false);
    running->control->cancel();
  }
  for (const auto& running : m_running) running->thread.join();
}

int JobList::begin(const QString& title, JobPriority priority, bool quiet,
                   std::function<std::function<void()>(JobContext&)> body) {
  auto running = std::make_unique<Running>();
  running->id = m_nextId++;
  running->control = std::make_unique<JobControl>();
  Entry entry;
  entry.id = running->id;
  entry.title = title;
  entry.quiet = quiet;
  m_entries.push_back(entry);
  JobControl* const control = running->control.get();
  running->thread = std::thread([this, control, priority, body = std::move(body)] {
    std::function<void()> completion;
    {
      JobContext job(m_workers, *control, priority);
      completion = body(job);
    }
    // Dropped by Qt when this object dies first; the destructor joins before that.
    QMetaObject::invokeMethod(this, completion, Qt::QueuedConnection);
  });
  const int id = running->id;
  m_running.push_back(std::move(running));
  m_timer.start();
  emit changed();
  return id;
}

void JobList::finish(int id, State state, const QString& message) {
  const auto at = std::find_if(m_running.begin(), m_running.end(),
                               [id](const auto& running) { return running->id == id; });
  if (at != m_running.end()) {
    if (Entry* entry = find(id)) entry->progress = (*at)->control->progress();
    (*at)->thread.join();  // it has posted its last word: nothing to wait for
    m_running.erase(at);
  }
  if (Entry* entry = find(id)) {
    entry->state = state;
    entry->message = message;
    entry->paused = false;
  }
  std::erase_if(m_entries,
                [](const Entry& entry) { return entry.quiet && entry.state != State::Running; });
  while (m_entries.size() > kHistory && m_entries.front().state != State::Running) {
    m_entries.erase(m_entries.begin());
  }
  if (m_running.empty()) m_timer.stop();
  emit changed();
}

void JobList::poll() {
  for (const auto& running : m_running) {
    if (Entry* entry = find(running->id)) entry->progress = running->control->progress();
  }
  emit changed();
}

void JobList::cancel(int id) {
  for (const auto& running : m_running) {
    if (running->id != id) continue;
    running->control->cancel();
    running->control->setPaused(false);
  }
}

void JobList::cancelAll() {
  for (const auto& running : m_running) cancel(running->id);
}

void JobList::setPaused(int id, bool paused) {
  for (const auto& running : m_running) {
    if (running->id == id) running->control->setPaused(paused);
  }
  if (Entry* entry = find(id)) entry->paused = paused;
  emit changed();
}

void JobList::setMessage(int id, const QString& message, qint64 run) {
  if (Entry* entry = find(id)) {
    entry->message = message;
    entry->run = run;
    emit changed();
  }
}

bool JobList::isRunning(int id) const {
  return std::any_of(m_running.begin(), m_running.end(),
                     [id](const auto& running) { return running->id == id; });
}

bool JobList::anyRunning(bool includingQuiet) const {
  return std::any_of(m_entries.begin(), m_entries.end(), [&](const Entry& entry) {
    return entry.state == State::Running && (includingQuiet || !entry.quiet);
  });
}

JobList::Entry* JobList::find(int id) {
  const auto at = std::find_if(m_entries.begin(), m_entries.end(),
                               [id](const Entry& entry) { return entry.id == id; });
  return at == m_entries.end() ? nullptr : &*at;
}

}  // namespace bitloom

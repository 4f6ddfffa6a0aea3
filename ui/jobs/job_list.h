// SPDX-License-Identifier: GPL-3.0-or-later
// All background work of the window. A job is a function `Result<T>(JobContext&)` that runs on a
// thread of its own; its result is delivered once, on the window's thread, and never when the
// receiver is gone. The job strip shows the list; progress is polled ten times a second. The one
// bridge between worker threads and the event loop.
#pragma once
#include <QObject>
#include <QPointer>
#include <QString>
#include <QTimer>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "core/base/job.h"

namespace bitloom {

class JobList : public QObject {
  Q_OBJECT

 public:
  enum class State { Running, Done, Cancelled, Failed };

  struct Entry {
    int id = 0;
    QString title;  // "Scan · KLD at 6 codecs"
    State state = State::Running;
    QString message;     // of a failure; what was made, for a finished job
    bool quiet = false;  // short work (probe): not shown in the strip
    JobProgress progress;
    bool paused = false;
    qint64 run = 0;  // id in the store of the run that the job made; 0: none
  };

  explicit JobList(Workers& workers, QObject* parent = nullptr);
  ~JobList() override;  // cancels everything and waits

  // `done` is called on this object's thread with the result, unless `receiver` was destroyed.
  // Returns the job's id.
  template <typename T>
  int start(const QString& title, JobPriority priority, QObject* receiver,
            std::function<Result<T>(JobContext&)> work, std::function<void(Result<T>)> done,
            bool quiet = false);

  void cancel(int id);
  void cancelAll();
  void setPaused(int id, bool paused);
  void setMessage(int id, const QString& message, qint64 run = 0);  // of a finished job
  bool isRunning(int id) const;
  bool anyRunning(bool includingQuiet = true) const;
  const std::vector<Entry>& entries() const { return m_entries; }  // oldest first
  Workers& workers() { return m_workers; }

 signals:
  void changed();  // an entry appeared, moved on, or ended

 private:
  struct Running {
    int id = 0;
    std::unique_ptr<JobControl> control;
    std::thread thread;
  };
  int begin(const QString& title, JobPriority priority, bool quiet,
            std::function<std::function<void()>(JobContext&)> body);
  // The border at which exceptions end.
  template <typename T>
  static Result<T> guarded(const std::function<Result<T>(JobContext&)>& work, JobContext& job) {
    try {
      return work(job);
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::OutOfMemory, "There is not enough memory for this job."};
    } catch (const std::exception& problem) {
      return Error{ErrorCode::InvalidArgument, problem.what()};
    }
  }
  void finish(int id, State state, const QString& message);
  void poll();
  Entry* find(int id);

  Workers& m_workers;
  QTimer m_timer;
  int m_nextId = 1;
  std::vector<Entry> m_entries;
  std::vector<std::unique_ptr<Running>> m_running;
};

template <typename T>
int JobList::start(const QString& title, JobPriority priority, QObject* receiver,
                   std::function<Result<T>(JobContext&)> work, std::function<void(Result<T>)> done,
                   bool quiet) {
  QPointer<QObject> guard(receiver);
  auto slot = std::make_shared<int>(0);
  const int id = begin(title, priority, quiet, [this, guard, slot, work, done](JobContext& job) {
    auto result = std::make_shared<Result<T>>(guarded<T>(work, job));  // std::function copies
    return std::function<void()>([this, guard, slot, result, done] {
      const bool ok = result->has_value();
      const State state = ok                                             ? State::Done
                          : result->error().code == ErrorCode::Cancelled ? State::Cancelled
                                                                         : State::Failed;
      finish(*slot, state, ok ? QString() : QString::fromStdString(result->error().message));
      if (guard) done(std::move(*result));
    });
  });
  *slot = id;  // `begin` queues the completion on this thread: it cannot have run yet
  return id;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/job.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <thread>
#include <vector>

namespace bitloom {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(5);

// Threads of the program that may call at once without waiting for a place in the arena.
constexpr int kCallers = 4;

int hardwareThreads() { return std::max(1, int(std::thread::hardware_concurrency())); }

#ifdef __SANITIZE_THREAD__
// The distribution's libtbb is not instrumented: the thread sanitizer does not see that it
// synchronises, and would call every loop a race. Under it, loops run on threads of their own, and
// what loop bodies do is checked.
void runChunks(int threads, size_t chunks, const std::function<void(size_t)>& run) {
  std::atomic<size_t> next = 0;
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&] {
    try {
      for (size_t chunk = next++; chunk < chunks; chunk = next++) run(chunk);
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (int i = 1; i < threads && size_t(i) < chunks; ++i) helpers.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}
#endif

}  // namespace

struct Workers::Arena {
  explicit Arena(int wanted)
      : threads(wanted > 0 ? wanted : hardwareThreads()), arena(threads - 1 + kCallers, kCallers) {
    // TBB makes no more threads than cores unless told otherwise.
    if (threads > hardwareThreads()) {
      limit.emplace(tbb::global_control::max_allowed_parallelism, size_t(threads));
    }
  }
  int threads;
  std::optional<tbb::global_control> limit;
  tbb::task_arena arena;
};

Workers::Workers(int threads) : m_arena(std::make_unique<Arena>(threads)) {}
Workers::~Workers() = default;

int Workers::threads() const { return m_arena->threads; }

void Workers::parallelFor(size_t count, size_t grain,
                          const std::function<void(size_t, size_t)>& body) {
  CHECK(grain > 0);
  const size_t chunks = count / grain + (count % grain != 0);
  const auto run = [&](size_t chunk) {
    const size_t begin = chunk * grain;
    body(begin, begin + std::min(grain, count - begin));
  };
  if (chunks <= 1 || m_arena->threads == 1) {
    for (size_t chunk = 0; chunk < chunks; ++chunk) run(chunk);
    return;
  }
#ifdef __SANITIZE_THREAD__
  runChunks(m_arena->threads, chunks, run);
#else
  m_arena->arena.execute([&] {
    // Isolated: a thread that waits here never picks up a chunk of an enclosing loop, whose locks
    // it may hold.
    tbb::this_task_arena::isolate(
        [&] { tbb::parallel_for(size_t{0}, chunks, run, tbb::simple_partitioner()); });
  });
#endif
}

void Workers::enqueue(std::function<void()> work) { m_arena->arena.enqueue(std::move(work)); }

JobProgress JobControl::progress() const {
  JobProgress progress;
  progress.done = m_done;
  progress.total = m_total;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - m_begin;
  progress.seconds = std::max(0.0, elapsed.count() - m_pausedSeconds);
  const std::lock_guard lock(m_mutex);
  progress.unit = m_unit;
  progress.step = m_step;
  return progress;
}

JobContext::JobContext(Workers& workers, JobControl& control, JobPriority priority)
    : m_workers(workers), m_control(control), m_priority(priority) {
  ++m_workers.m_active[size_t(m_priority)];
}

void JobContext::beginBurst() {
#ifndef __SANITIZE_THREAD__  // it does not see how libtbb hands over a task
  if (m_workers.threads() > 1) m_burst = std::make_unique<Burst>(m_workers);
#endif
}

JobContext::~JobContext() { --m_workers.m_active[size_t(m_priority)]; }

bool JobContext::higherActive() const {
  for (size_t i = 0; i < size_t(m_priority); ++i) {
    if (m_workers.m_active[i] > 0) return true;
  }
  return false;
}

Result<void> JobContext::checkpoint() {
  if (!cancelled() && (m_control.paused() || higherActive())) wait();
  if (cancelled()) return makeError(ErrorCode::Cancelled, "The job was cancelled.");
  return {};
}

void JobContext::wait() {
  // Of several threads that wait, one keeps the clock.
  const std::unique_lock clock(m_waitMutex, std::try_to_lock);
  bool standsAside = false;
  auto last = std::chrono::steady_clock::now();
  while (!cancelled() && (m_control.paused() || higherActive())) {
    // A paused job holds nobody up.
    if (clock.owns_lock() && m_control.paused() != standsAside) {
      standsAside = !standsAside;
      m_workers.m_active[size_t(m_priority)] += standsAside ? -1 : 1;
    }
    std::this_thread::sleep_for(kPoll);
    const auto now = std::chrono::steady_clock::now();
    if (clock.owns_lock()) {
      const std::chrono::duration<double> slice = now - last;
      m_control.m_pausedSeconds = m_control.m_pausedSeconds + slice.count();
    }
    last = now;
  }
  if (standsAside) ++m_workers.m_active[size_t(m_priority)];
}

void JobContext::begin(uint64_t total, std::string_view unit) {
  m_control.m_done = 0;
  m_control.m_total = total;
  const std::lock_guard lock(m_control.m_mutex);
  m_control.m_unit = unit;
}

void JobContext::advance(uint64_t units) { m_control.m_done += units; }

void JobContext::step(std::string_view text) {
  const std::lock_guard lock(m_control.m_mutex);
  m_control.m_step = text;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// What a long function needs from its caller: cancel, pause, progress, threads. The last parameter
// of every function that can take more than 50 ms.
//
//   Workers     the one pool of threads (oneTBB arena); made once by the program, outlives all jobs
//   JobControl  the caller's end of one job: cancel, pause, read progress; any thread
//   JobContext  the job's end: poll `checkpoint()` at least every 50 ms, `advance()` as work is
//   done
//
// When several jobs run, one of lower priority waits at its next checkpoint while a higher one is
// active (probe > chat > scan > quantize).
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/base/burst.h"
#include "core/base/strings.h"
#include "kernels/base/result.h"

namespace bitloom {

enum class JobPriority { Probe, Chat, Scan, Quantize };

class Workers {
 public:
  explicit Workers(int threads = 0);  // 0: one for each core
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int threads() const;

  // Calls `body(begin, end)` over [0, count) in chunks of at most `grain`, on all threads; returns
  // when all are done. How chunks are cut depends on `grain` alone, never on the thread count.
  void parallelFor(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body);

 private:
  friend class Burst;
  friend class JobContext;
  void enqueue(std::function<void()> work);  // by some worker, when one is free
  struct Arena;
  std::unique_ptr<Arena> m_arena;
  std::array<std::atomic<int>, 4> m_active{};  // running jobs of each priority
};

struct JobProgress {
  uint64_t done = 0;
  uint64_t total = 0;  // 0: not known yet
  std::string unit;    // "bytes", "tokens", "cells"
  std::string step;    // what is being done, for people: "blk.3.ffn_down.weight"
  double seconds = 0;  // since the job began, pauses left out
};

class JobControl {
 public:
  void cancel() { m_cancelled = true; }
  void setPaused(bool paused) { m_paused = paused; }
  bool cancelled() const { return m_cancelled; }
  bool paused() const { return m_paused; }
  JobProgress progress() const;

 private:
  friend class JobContext;
  std::atomic<bool> m_cancelled = false;
  std::atomic<bool> m_paused = false;
  std::atomic<uint64_t> m_done = 0;
  std::atomic<uint64_t> m_total = 0;
  std::atomic<double> m_pausedSeconds = 0;
  std::chrono::steady_clock::time_point m_begin = std::chrono::steady_clock::now();
  mutable std::mutex m_mutex;  // guards the two strings
  std::string m_unit;
  std::string m_step;
};

class JobContext {
 public:
  JobContext(Workers& workers, JobControl& control, JobPriority priority = JobPriority::Scan);
  ~JobContext();
  JobContext(const JobContext&) = delete;
  JobContext& operator=(const JobContext&) = delete;

  bool cancelled() const { return m_control.cancelled(); }

  // Waits while paused or while a job of higher priority runs; the error is Cancelled.
  Result<void> checkpoint();

  void begin(uint64_t total, std::string_view unit);  // resets done to 0
  void advance(uint64_t units = 1);                   // any thread
  void step(std::string_view text);

  Workers& workers() { return m_workers; }
  void parallelFor(size_t count, size_t grain, const std::function<void(size_t, size_t)>& body) {
    if (m_burst) return m_burst->parallelFor(count, grain, body);
    m_workers.parallelFor(count, grain, body);
  }
  // Between the two calls, this thread's loops are those of a Burst.
  void beginBurst();
  void endBurst() { m_burst.reset(); }

 private:
  bool higherActive() const;
  void wait();

  Workers& m_workers;
  JobControl& m_control;
  JobPriority m_priority;
  std::unique_ptr<Burst> m_burst;
  std::mutex m_waitMutex;  // held by the waiting thread that keeps the clock
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/job.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <thread>

namespace bitloom {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

template <typename Condition>
bool becomes(const Condition& condition) {
  for (const auto end = Clock::now() + 10s; Clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

TEST(Workers, EveryIndexIsVisitedOnceInChunksThatDependOnTheGrainAlone) {
  std::set<std::pair<size_t, size_t>> expected;
  for (size_t i = 0; i < 1003; i += 10) expected.insert({i, std::min<size_t>(i + 10, 1003)});
  for (const int threads : {1, 2, 4}) {
    Workers workers(threads);
    EXPECT_EQ(workers.threads(), threads);
    std::vector<int> visits(1003);
    std::set<std::pair<size_t, size_t>> chunks;
    std::mutex mutex;
    workers.parallelFor(1003, 10, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) ++visits[i];
      const std::lock_guard lock(mutex);
      chunks.insert({begin, end});
    });
    EXPECT_EQ(visits, std::vector<int>(1003, 1));
    EXPECT_EQ(chunks, expected);
  }
}

TEST(Workers, NothingToDoCallsNothing) {
  Workers workers(2);
  workers.parallelFor(0, 4, [](size_t, size_t) { FAIL(); });
}

TEST(Workers, UsesSeveralThreadsEvenOnASmallMachine) {
  Workers workers(4);
  std::set<std::thread::id> ids;
  std::mutex mutex;
  workers.parallelFor(64, 1, [&](size_t, size_t) {
    std::this_thread::sleep_for(2ms);
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_GE(ids.size(), 2u);
  EXPECT_LE(ids.size(), 5u);
}

TEST(Workers, LoopsMayBeNestedWhileALockIsHeld) {
  Workers workers(4);
  std::mutex mutex;
  std::atomic<int> sum = 0;
  workers.parallelFor(16, 1, [&](size_t, size_t) {
    const std::lock_guard lock(mutex);
    workers.parallelFor(16, 1, [&](size_t, size_t) { ++sum; });
  });
  EXPECT_EQ(sum, 256);
}

TEST(Workers, SeveralThreadsMayUseThemAtOnce) {
  Workers workers(2);
  std::array<size_t, 4> sums{};
  std::vector<std::thread> callers;
  for (size_t& sum : sums) {
    callers.emplace_back([&workers, &sum] {
      for (int round = 0; round < 20; ++round) {
        std::vector<size_t> parts(100);
        workers.parallelFor(1000, 10, [&](size_t begin, size_t end) {
          for (size_t i = begin; i < end; ++i) parts[begin / 10] += i;
        });
        sum += std::accumulate(parts.begin(), parts.end(), size_t{0});
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const size_t sum : sums) EXPECT_EQ(sum, 20u * 499500);
}

TEST(Workers, AnExceptionReachesTheCaller) {
  Workers workers(2);
  EXPECT_THROW(workers.parallelFor(100, 1,
                                   [](size_t begin, size_t) {
                                     if (begin == 50) throw std::bad_alloc();
                                   }),
               std::bad_alloc);
}

TEST(JobContext, ReportsProgress) {
  Workers workers(2);
  JobControl control;
  JobContext job(workers, control);
  EXPECT_EQ(control.progress().total, 0u);
  job.begin(10, "cells");
  job.step("blk.0.attn_q.weight");
  job.parallelFor(8, 1, [&](size_t, size_t) { job.advance(); });
  JobProgress progress = control.progress();
  EXPECT_EQ(progress.done, 8u);
  EXPECT_EQ(progress.total, 10u);
  EXPECT_EQ(progress.unit, "cells");
  EXPECT_EQ(progress.step, "blk.0.attn_q.weight");
  job.begin(5, "bytes");
  progress = control.progress();
  EXPECT_EQ(progress.done, 0u);
  EXPECT_EQ(progress.total, 5u);
  EXPECT_TRUE(job.checkpoint());
}

TEST(JobContext, CancelledIsToldAtTheNextCheckpoint) {
  Workers workers(1);
  JobControl control;
  JobContext job(workers, control);
  ASSERT_TRUE(job.checkpoint());
  control.cancel();
  const auto result = job.checkpoint();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Cancelled);
  EXPECT_EQ(result.error().message, "The job was cancelled.");
  EXPECT_TRUE(job.cancelled());
}

TEST(JobContext, APausedJobWaitsAndItsClockStands) {
  Workers workers(1);
  JobControl control;
  JobContext job(workers, control);
  control.setPaused(true);
  std::atomic<bool> passed = false;
  const auto begin = Clock::now();
  std::thread runner([&] { passed = job.checkpoint().has_value(); });
  std::this_thread::sleep_for(200ms);
  EXPECT_FALSE(passed);
  control.setPaused(false);
  runner.join();
  EXPECT_TRUE(passed);
  const std::chrono::duration<double> elapsed = Clock::now() - begin;
  EXPECT_LT(control.progress().seconds, elapsed.count() - 0.1);
  EXPECT_GE(control.progress().seconds, 0);
}

TEST(JobContext, APauseIsCountedOnceHoweverManyThreadsWait) {
  Workers workers(1);
  JobControl control;
  JobContext job(workers, control);
  control.setPaused(true);
  std::vector<std::thread> runners;
  for (int i = 0; i < 4; ++i) runners.emplace_back([&] { EXPECT_TRUE(job.checkpoint()); });
  std::this_thread::sleep_for(100ms);
  control.setPaused(false);
  for (std::thread& runner : runners) runner.join();
  std::this_thread::sleep_for(150ms);
  EXPECT_GE(control.progress().seconds, 0.14);
}

TEST(JobContext, APausedJobCanBeCancelled) {
  Workers workers(1);
  JobControl control;
  JobContext job(workers, control);
  control.setPaused(true);
  std::thread canceller([&] {
    std::this_thread::sleep_for(20ms);
    control.cancel();
  });
  const auto result = job.checkpoint();
  canceller.join();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Cancelled);
}

TEST(JobContext, ALowerJobWaitsForAHigherOne) {
  Workers workers(1);
  JobControl scanControl;
  JobControl quantizeControl;
  JobContext quantize(workers, quantizeControl, JobPriority::Quantize);
  std::atomic<bool> passed = false;
  std::thread runner;
  {
    JobContext scan(workers, scanControl, JobPriority::Scan);
    EXPECT_TRUE(scan.checkpoint());  // the lower one holds nobody up
    runner = std::thread([&] { passed = quantize.checkpoint().has_value(); });
    std::this_thread::sleep_for(60ms);
    EXPECT_FALSE(passed);
  }
  EXPECT_TRUE(becomes([&] { return passed.load(); }));
  runner.join();
}

TEST(JobContext, JobsOfOnePriorityDoNotWaitForEachOther) {
  Workers workers(1);
  JobControl a;
  JobControl b;
  JobContext first(workers, a, JobPriority::Chat);
  JobContext second(workers, b, JobPriority::Chat);
  EXPECT_TRUE(first.checkpoint());
  EXPECT_TRUE(second.checkpoint());
}

TEST(JobContext, APausedHigherJobHoldsNobodyUp) {
  Workers workers(1);
  JobControl scanControl;
  JobControl quantizeControl;
  JobContext scan(workers, scanControl, JobPriority::Scan);
  JobContext quantize(workers, quantizeControl, JobPriority::Quantize);
  scanControl.setPaused(true);
  std::thread runner([&] { EXPECT_TRUE(scan.checkpoint()); });
  EXPECT_TRUE(quantize.checkpoint());  // would never return otherwise
  scanControl.setPaused(false);
  runner.join();

  std::atomic<bool> passed = false;  // and is first again once it goes on
  std::thread lower([&] { passed = quantize.checkpoint().has_value(); });
  std::this_thread::sleep_for(60ms);
  EXPECT_FALSE(passed);
  quantizeControl.cancel();
  lower.join();
  EXPECT_FALSE(passed);
}

}  // namespace
}  // namespace bitloom

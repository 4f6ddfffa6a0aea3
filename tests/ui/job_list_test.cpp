// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/jobs/job_list.h"

#include <gtest/gtest.h>

#include <QElapsedTimer>
#include <QTest>
#include <QThread>
#include <atomic>

#include "ui/widgets/job_strip.h"

namespace bitloom {
namespace {

Result<int> untilCancelled(JobContext& job) {
  job.begin(100, "cells");
  for (;;) {
    if (auto go = job.checkpoint(); !go) return go.error();
    job.advance(0);
    QThread::msleep(5);
  }
}

TEST(JobList, DeliversTheResultOnceOnTheWindowsThread) {
  Workers workers(2);
  JobList jobs(workers);
  QObject receiver;
  int calls = 0;
  int value = 0;
  QThread* deliveredOn = nullptr;
  std::atomic<QThread*> workedOn = nullptr;
  const int id = jobs.start<int>(
      "six", JobPriority::Scan, &receiver,
      [&](JobContext&) -> Result<int> {
        workedOn = QThread::currentThread();
        return 6;
      },
      [&](Result<int> result) {
        ++calls;
        value = *result;
        deliveredOn = QThread::currentThread();
      });
  EXPECT_TRUE(jobs.isRunning(id));
  ASSERT_TRUE(QTest::qWaitFor([&] { return calls > 0; }, 5000));
  QTest::qWait(50);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(value, 6);
  EXPECT_EQ(deliveredOn, QThread::currentThread());
  EXPECT_NE(workedOn.load(), QThread::currentThread());
  EXPECT_FALSE(jobs.isRunning(id));
  ASSERT_EQ(jobs.entries().size(), 1u);
  EXPECT_EQ(jobs.entries()[0].state, JobList::State::Done);
}

TEST(JobList, CancelEndsAJobWithinASecond) {
  Workers workers(2);
  JobList jobs(workers);
  QObject receiver;
  bool cancelled = false;
  const int id = jobs.start<int>(
      "endless", JobPriority::Scan, &receiver, untilCancelled, [&](Result<int> result) {
        cancelled = !result && result.error().code == ErrorCode::Cancelled;
      });
  ASSERT_TRUE(QTest::qWaitFor([&] { return jobs.entries()[0].progress.total == 100; }, 5000));
  QElapsedTimer timer;
  timer.start();
  jobs.cancel(id);
  ASSERT_TRUE(QTest::qWaitFor([&] { return cancelled; }, 5000));
  EXPECT_LT(timer.elapsed(), 1000);
  EXPECT_EQ(jobs.entries()[0].state, JobList::State::Cancelled);
}

TEST(JobList, DropsTheResultOfAReceiverThatIsGone) {
  Workers workers(2);
  JobList jobs(workers);
  auto receiver = std::make_unique<QObject>();
  std::atomic<bool> release = false;
  bool delivered = false;
  jobs.start<int>(
      "late", JobPriority::Scan, receiver.get(),
      [&](JobContext&) -> Result<int> {
        while (!release) QThread::msleep(1);
        return 1;
      },
      [&](Result<int>) { delivered = true; });
  receiver.reset();
  release = true;
  ASSERT_TRUE(QTest::qWaitFor([&] { return !jobs.anyRunning(); }, 5000));
  EXPECT_FALSE(delivered);
}

TEST(JobList, TurnsBadAllocIntoAFailureWithASentence) {
  Workers workers(2);
  JobList jobs(workers);
  QObject receiver;
  ErrorCode code = ErrorCode::Io;
  bool done = false;
  jobs.start<int>(
      "hungry", JobPriority::Scan, &receiver,
      [](JobContext&) -> Result<int> { throw std::bad_alloc(); },
      [&](Result<int> result) {
        done = true;
        code = result.error().code;
      });
  ASSERT_TRUE(QTest::qWaitFor([&] { return done; }, 5000));
  EXPECT_EQ(code, ErrorCode::OutOfMemory);
  EXPECT_EQ(jobs.entries()[0].state, JobList::State::Failed);
  EXPECT_FALSE(jobs.entries()[0].message.isEmpty());
}

TEST(JobList, DestructionCancelsAndWaits) {
  Workers workers(2);
  QObject receiver;
  bool delivered = false;
  {
    JobList jobs(workers);
    jobs.start<int>("endless", JobPriority::Scan, &receiver, untilCancelled,
                    [&](Result<int>) { delivered = true; });
  }
  QTest::qWait(20);
  EXPECT_FALSE(delivered);
}

TEST(JobStrip, SaysHowFarAndHowLong) {
  JobList::Entry entry;
  entry.progress = {
      .done = 1076, .total = 1512, .unit = "cells", .step = {}, .seconds = 1076 / 41.0};
  EXPECT_EQ(progressText(entry), QString("1\u2009076 of 1\u2009512 cells · 41 /s · 11 s left"));
  entry.progress = {
      .done = 12'100'000, .total = 23'200'000, .unit = "bytes", .step = {}, .seconds = 1};
  EXPECT_EQ(progressText(entry), QString("12.1 MB of 23.2 MB · 12.1 MB/s · 0.9 s left"));
}

}  // namespace
}  // namespace bitloom

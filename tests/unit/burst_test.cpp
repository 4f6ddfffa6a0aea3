// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/burst.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/base/job.h"

namespace bitloom {
namespace {

TEST(Burst, RunsEveryChunkOfManyLoopsOnce) {
  Workers workers(4);
  Burst burst(workers);
  for (size_t count = 0; count < 300; ++count) {
    std::vector<std::atomic<int>> seen(count);
    burst.parallelFor(count, 1 + count % 7, [&](size_t begin, size_t end) {
      ASSERT_LE(end - begin, 1 + count % 7);
      for (size_t i = begin; i < end; ++i) ++seen[i];
    });
    for (const auto& times : seen) ASSERT_EQ(times, 1);
  }
}

TEST(Burst, LoopsFollowOneAnotherWithoutMixing) {
  Workers workers(3);
  Burst burst(workers);
  std::vector<uint64_t> values(64, 1);
  for (int loop = 0; loop < 5000; ++loop) {
    burst.parallelFor(values.size(), 8, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) values[i] = values[i] * 3 + i;
    });
  }
  for (size_t i = 0; i < values.size(); ++i) {
    uint64_t expected = 1;
    for (int loop = 0; loop < 5000; ++loop) expected = expected * 3 + i;
    ASSERT_EQ(values[i], expected);
  }
}

TEST(Burst, AnExceptionReachesTheOwnerAndTheNextLoopRuns) {
  Workers workers(2);
  Burst burst(workers);
  const auto fail = [](size_t begin, size_t) {
    if (begin == 5) throw std::runtime_error("five");
  };
  EXPECT_THROW(burst.parallelFor(10, 1, fail), std::runtime_error);
  std::atomic<int> chunks = 0;
  burst.parallelFor(10, 1, [&](size_t, size_t) { ++chunks; });
  EXPECT_EQ(chunks, 10);
}

TEST(Burst, WorksWhileTheWorkersAreBusyElsewhere) {
  Workers workers(2);
  std::atomic<bool> stop = false;
  std::jthread other([&] {
    while (!stop) workers.parallelFor(100, 1, [](size_t, size_t) {});
  });
  for (int i = 0; i < 20; ++i) {
    Burst burst(workers);
    std::atomic<int> chunks = 0;
    burst.parallelFor(50, 1, [&](size_t, size_t) { ++chunks; });
    EXPECT_EQ(chunks, 50);
  }
  stop = true;
}

}  // namespace
}  // namespace bitloom

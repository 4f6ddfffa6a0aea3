// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/device_split.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/architecture.h"
#include "core/inference/kv_cache.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

constexpr uint32_t kContext = 100;

struct Split : testing::TestWithParam<bool> {
  Split() {
    test::TinyModelOptions options;
    options.blocks = 4;
    options.tiedHead = GetParam();
    m_model = *Model::open(test::writeTinyModel(m_folder / "tiny.gguf", options));
    m_graph = *buildGraph(*m_model);
    for (const char* name : {"tq3_1s", "q4_0", "q8_0"}) {
      m_request.codecs.push_back(findCodec(name));
    }
    double scale = 1;
    for (const Tensor& tensor : m_model->tensors()) {
      if (!isQuantizable(tensor)) continue;
      scale = scale > 50 ? 1 : scale * 1.7;
      for (const Codec* codec : m_request.codecs) {
        m_sensitivity.cells.push_back({tensor.name, std::string(codec->name), "kld",
                                       scale * std::exp2(-2 * codec->bits), 0.01, 0});
      }
    }
  }

  Result<DeviceSplit> solveFor(const std::vector<DeviceMemory>& devices) {
    Workers workers{1};
    JobControl control;
    JobContext job(workers, control);
    return solveSplit(*m_model, m_graph, m_sensitivity, m_request, {devices, kContext}, job);
  }

  // Bytes of the plan's tensors of blocks [first, end), or before and after all; not padded.
  uint64_t weightsOf(const Plan& plan, int first, int end) const {
    uint64_t bytes = 0;
    for (const Choice& choice : plan.tensors) {
      const int block = m_graph.parts[choice.tensor].block;
      if (first <= block && block < end) bytes += choice.bytes;
    }
    return bytes;
  }
  uint64_t cache() const { return KvCache::bytesFor(m_graph, kContext, KvFormat::F16); }
  int blocks() const { return int(m_graph.blocks); }

  test::TempDir m_folder;
  std::shared_ptr<const Model> m_model;
  Graph m_graph;
  Sensitivity m_sensitivity;
  AllocationRequest m_request;
};
INSTANTIATE_TEST_SUITE_P(Device, Split, testing::Bool(),
                         [](const auto& values) { return values.param ? "Tied" : "HeadOfItsOwn"; });

TEST_P(Split, OneDeviceIsABudgetOfWeightsAndCache) {
  const uint64_t q4 = resolve(uniformRecipe(*findCodec("q4_0")), *m_model)->tensorBytes;
  const uint64_t memory = q4 + cache();
  const auto split = solveFor({{"one", memory}});
  ASSERT_TRUE(split) << split.error().message;
  ASSERT_EQ(split->shares.size(), 1U);
  const DeviceShare& share = split->shares[0];
  EXPECT_EQ(share.firstBlock, 0);
  EXPECT_EQ(share.endBlock, blocks());
  EXPECT_EQ(share.cacheBytes, cache());
  EXPECT_EQ(share.weightBytes, split->solution.plan.tensorBytes);
  EXPECT_LE(share.weightBytes + share.cacheBytes, memory);
  EXPECT_GT(share.weightBytes, q4 * 9 / 10);
  // The same bytes as a file's budget give the same plan.
  m_request.fileBytes = split->solution.plan.fileBytes;
  Workers workers{1};
  JobControl control;
  JobContext job(workers, control);
  const auto file = solve(*m_model, m_graph, m_sensitivity, m_request, job);
  ASSERT_TRUE(file);
  EXPECT_DOUBLE_EQ(file->predicted.value, split->solution.predicted.value);
}

TEST_P(Split, EveryDeviceHoldsItsPartAndAllBlocksAreSomewhere) {
  const uint64_t q8 = resolve(uniformRecipe(*findCodec("q8_0")), *m_model)->tensorBytes;
  for (const double first : {0.4, 0.55, 0.7}) {
    const std::vector<DeviceMemory> devices = {{"cpu", uint64_t(first * double(q8)) + cache()},
                                               {"gpu", uint64_t(0.45 * double(q8)) + cache()}};
    const auto split = solveFor(devices);
    ASSERT_TRUE(split) << split.error().message;
    const Plan& plan = split->solution.plan;
    ASSERT_EQ(split->shares.size(), 2U);
    const DeviceShare& low = split->shares[0];
    const DeviceShare& high = split->shares[1];
    EXPECT_EQ(low.firstBlock, 0);
    EXPECT_EQ(low.endBlock, high.firstBlock);
    EXPECT_EQ(high.endBlock, blocks());
    EXPECT_EQ(low.cacheBytes + high.cacheBytes, cache());
    EXPECT_LE(low.weightBytes + low.cacheBytes, devices[0].bytes);
    EXPECT_LE(high.weightBytes + high.cacheBytes, devices[1].bytes);
    // Norms and all: nothing of the plan is left out, and a tied embedding counts twice.
    const uint64_t embedding = GetParam() ? weightsOf(plan, -1, 0) : 0;
    EXPECT_EQ(low.weightBytes, weightsOf(plan, -1, low.endBlock));
    EXPECT_EQ(high.weightBytes, weightsOf(plan, low.endBlock, blocks() + 1) + embedding);
  }
}

// What a search over every border and every uniform pair of budgets cannot beat.
TEST_P(Split, TheBorderIsTheBestOne) {
  const uint64_t q8 = resolve(uniformRecipe(*findCodec("q8_0")), *m_model)->tensorBytes;
  const std::vector<DeviceMemory> devices = {{"a", uint64_t(0.62 * double(q8)) + cache()},
                                             {"b", uint64_t(0.45 * double(q8)) + cache()}};
  const auto best = solveFor(devices);
  ASSERT_TRUE(best) << best.error().message;
  // Two devices of half the memory each can do no better than the one that has all of it.
  const auto whole = solveFor({{"all", devices[0].bytes + devices[1].bytes}});
  ASSERT_TRUE(whole);
  EXPECT_LE(whole->solution.predicted.value, best->solution.predicted.value * (1 + 1e-12));
  // A third device that can hold nothing changes nothing.
  const auto empty = solveFor({devices[0], {"none", 0}, devices[1]});
  ASSERT_TRUE(empty) << empty.error().message;
  EXPECT_EQ(empty->solution.plan.hash, best->solution.plan.hash);
  EXPECT_EQ(empty->shares[1].firstBlock, empty->shares[1].endBlock);
  EXPECT_EQ(empty->shares[1].weightBytes, 0U);
  // More memory on either side never means more damage.
  for (size_t d = 0; d < 2; ++d) {
    std::vector<DeviceMemory> more = devices;
    more[d].bytes += q8 / 10;
    EXPECT_LE(solveFor(more)->solution.predicted.value,
              best->solution.predicted.value * (1 + 1e-12));
  }
}

TEST_P(Split, WhatCannotFitIsRefusedWithWhatIsNeeded) {
  const auto refused = solveFor({{"a", 1000}, {"b", 1000}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(refused.error().message.find("does not fit 1.95 KiB in these parts"), std::string::npos)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find(binarySize(cache())), std::string::npos);
  m_request.allocator = "no such";
  EXPECT_FALSE(solveFor({{"a", uint64_t{1} << 30}}));
}

}  // namespace
}  // namespace bitloom

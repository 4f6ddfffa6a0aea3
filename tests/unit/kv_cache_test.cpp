// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/kv_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace bitloom {
namespace {

// Two blocks, of different widths.
Graph twoBlocks() {
  Graph graph;
  graph.blocks = 2;
  for (int block = 0; block < 2; ++block) {
    Op op;
    op.kind = OpKind::Attention;
    op.block = block;
    op.heads = 4;
    op.kvHeads = block == 0 ? 2 : 1;
    op.headWidth = 3;
    op.valueWidth = 5;
    graph.ops.push_back(op);
  }
  return graph;
}

std::vector<float> counting(size_t count, float first) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

class KvCacheFormats : public testing::TestWithParam<KvFormat> {};

TEST_P(KvCacheFormats, ReadsBackWhatWasAppended) {
  KvCache cache(twoBlocks(), 4, GetParam());
  const auto keys = counting(3 * 6, 1);
  const auto values = counting(3 * 10, 100);
  cache.write(0, 0, 2, keys.data(), values.data());
  cache.write(0, 2, 1, keys.data() + 12, values.data() + 20);
  cache.write(1, 0, 1, counting(3, -5).data(), counting(5, -9).data());
  std::vector<float> k, v;
  cache.read(0, 3, k, v);
  EXPECT_EQ(k, keys);
  EXPECT_EQ(v, values);
  cache.read(1, 1, k, v);
  EXPECT_EQ(k, counting(3, -5));
  EXPECT_EQ(v, counting(5, -9));
}

TEST_P(KvCacheFormats, BytesAreThoseOfAllBlocksAtFullCapacity) {
  const uint64_t each = GetParam() == KvFormat::F16 ? 2 : 4;
  const KvCache cache(twoBlocks(), 7, GetParam());
  EXPECT_EQ(cache.bytes(), 7 * each * (6 + 10 + 3 + 5));
  EXPECT_EQ(KvCache::bytesFor(twoBlocks(), 7, GetParam()), cache.bytes());
}

TEST_P(KvCacheFormats, NoPositionsAreNoBytes) {
  const KvCache cache(twoBlocks(), 0, GetParam());
  std::vector<float> k(3), v(3);
  cache.read(0, 0, k, v);
  EXPECT_TRUE(k.empty());
  EXPECT_EQ(cache.bytes(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Both, KvCacheFormats, testing::Values(KvFormat::F16, KvFormat::F32),
                         [](const auto& format) {
                           return format.param == KvFormat::F16 ? "F16" : "F32";
                         });

TEST(KvCache, HalfPrecisionRoundsToTheNearestHalf) {
  KvCache cache(twoBlocks(), 1, KvFormat::F16);
  const std::vector<float> keys(6, 1.0f + 1.0f / 4096);
  const std::vector<float> values(10, 3.14159274f);
  cache.write(0, 0, 1, keys.data(), values.data());
  std::vector<float> k, v;
  cache.read(0, 1, k, v);
  EXPECT_EQ(k[0], 1.0f);
  EXPECT_EQ(v[0], 3.140625f);
}

TEST(KvCache, EightBitsAreRowsOfQ8_0) {
  Graph graph = twoBlocks();
  EXPECT_FALSE(KvCache::holds(graph, KvFormat::Q8_0));
  EXPECT_TRUE(KvCache::holds(graph, KvFormat::F16));
  for (Op& op : graph.ops) op.headWidth = op.valueWidth = 32;
  ASSERT_TRUE(KvCache::holds(graph, KvFormat::Q8_0));
  KvCache cache(graph, 3, KvFormat::Q8_0);
  const size_t width = 32 * graph.ops.front().kvHeads;
  std::vector<float> keys = counting(3 * width, -40), values = counting(3 * width, 7);
  cache.write(0, 0, 1, keys.data(), values.data());
  cache.write(0, 1, 2, keys.data() + width, values.data() + width);
  std::vector<float> k, v;
  cache.read(0, 3, k, v);
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_NEAR(k[i], keys[i], 160 / 254.0) << i;
    EXPECT_NEAR(v[i], values[i], 250 / 254.0) << i;
  }
  EXPECT_NE(k, keys);
  uint64_t widths = 0;
  for (const Op& op : graph.ops) widths += uint64_t(op.kvHeads) * 64;
  EXPECT_EQ(cache.bytes(), 3 * widths / 32 * 34);
}

TEST(KvCache, SizeIsWhatWasCommitted) {
  KvCache cache(twoBlocks(), 4, KvFormat::F16);
  EXPECT_EQ(cache.size(), 0u);
  cache.setSize(3);
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_EQ(cache.capacity(), 4u);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/session.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    auto model = Model::open(test::writeTinyModel(m_dir / "tiny.gguf"));
    ASSERT_TRUE(model) << model.error().message;
    auto variant = Variant::create(*model, m_cache);
    ASSERT_TRUE(variant) << variant.error().message;
    m_variant.emplace(std::move(*variant));
  }

  Session session(const SessionOptions& options = {}) {
    auto created = Session::create(*m_variant, options);
    EXPECT_TRUE(created) << created.error().message;
    return std::move(*created);
  }

  static std::vector<TokenId> tokens(size_t count) {
    std::vector<TokenId> ids(count);
    for (size_t i = 0; i < count; ++i) ids[i] = TokenId(5 + i * 7 % 40);
    return ids;
  }

  test::TempDir m_dir;
  WeightCache m_cache{uint64_t{32} << 20};
  std::optional<Variant> m_variant;
  Workers m_workers{2};
  JobControl m_control;
  JobContext m_job{m_workers, m_control};
};

TEST_F(SessionTest, BatchesDoNotChangeABit) {
  const auto ids = tokens(50);
  Session whole = session({.cache = KvFormat::F32, .prefillBatch = 64});
  Session pieces = session({.cache = KvFormat::F32, .prefillBatch = 7});
  const auto a = whole.evalAll(ids, m_job);
  const auto b = pieces.evalAll(ids, m_job);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->rows, 50u);
  EXPECT_EQ(a->values, b->values);
}

TEST_F(SessionTest, EvalGivesTheLastRowOfEvalAll) {
  const auto ids = tokens(9);
  Session one = session();
  Session all = session();
  const auto last = one.eval(ids, m_job);
  const auto rows = all.evalAll(ids, m_job);
  ASSERT_TRUE(last && rows);
  EXPECT_EQ(*last, std::vector<float>(rows->row(8), rows->row(8) + rows->cols));
}

TEST_F(SessionTest, TruncateForgetsAsIfItHadNeverBeen) {
  const auto ids = tokens(12);
  Session fresh = session();
  const auto expected = fresh.eval(ids, m_job);
  Session rewound = session();
  ASSERT_TRUE(rewound.eval(std::span(ids).first(6), m_job));
  ASSERT_TRUE(rewound.eval(std::vector<TokenId>{1, 2, 3}, m_job));
  rewound.truncate(6);
  EXPECT_EQ(rewound.tokens().size(), 6u);
  const auto again = rewound.eval(std::span(ids).last(6), m_job);
  ASSERT_TRUE(expected && again);
  EXPECT_EQ(*again, *expected);
}

TEST_F(SessionTest, FullContextIsAnErrorThatNamesTheLimit) {
  Session small = session({.contextLength = 10});
  ASSERT_TRUE(small.eval(tokens(8), m_job));
  const auto result = small.eval(tokens(3), m_job);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(result.error().message.find("context length of 10"), std::string::npos);
  EXPECT_EQ(small.tokens().size(), 8u);
  EXPECT_TRUE(small.eval(tokens(2), m_job));
}

TEST_F(SessionTest, ContextIsThatOfTheModelUnlessAskedFor) {
  EXPECT_EQ(session().contextLength(), 128u);
  EXPECT_EQ(session({.contextLength = 300}).contextLength(), 300u);
  EXPECT_EQ(session().cacheBytes(), KvCache::bytesFor(m_variant->graph(), 128, KvFormat::F16));
}

TEST_F(SessionTest, NoTokensAreAnError) {
  Session empty = session();
  EXPECT_FALSE(empty.eval({}, m_job));
}

TEST_F(SessionTest, CancelLeavesTheSessionAsItWas) {
  Session running = session();
  ASSERT_TRUE(running.eval(tokens(4), m_job));
  JobControl control;
  control.cancel();
  {
    JobContext job(m_workers, control);
    const auto result = running.eval(tokens(5), job);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Cancelled);
  }
  EXPECT_EQ(running.tokens().size(), 4u);
  Session fresh = session();
  const auto expected = fresh.eval(tokens(4), m_job);
  const auto next = fresh.eval(tokens(1), m_job);
  const auto actual = running.eval(tokens(1), m_job);
  ASSERT_TRUE(expected && next && actual);
  EXPECT_EQ(*actual, *next);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/linear_bases.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <optional>

#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::take;
using test::TinyRun;

constexpr uint32_t kTokens = 40;

// A reference's run, and runs of variants over the same tokens.
class LinearBasesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!LinearBases::pay(m_run.reference())) GTEST_SKIP() << "this processor has no matrix unit";
  }

  Matrix logits(const Variant& variant, const LinearBases* bases, const OpTap& tap = {}) {
    Forward forward(variant);
    forward.setBases(bases);
    const std::vector<Segment> segments = {{.tokens = kTokens}};
    std::vector<uint32_t> rows(kTokens);
    std::iota(rows.begin(), rows.end(), 0);
    Matrix stream = take(forward.embed(m_run.randomTokens(kTokens), m_run.job()));
    const auto done =
        forward.blocks(0, int(forward.graph().blocks), stream, segments, m_run.job(), tap);
    EXPECT_TRUE(done);
    return take(forward.head(stream, rows, m_run.job(), tap));
  }

  void record(uint64_t bytes) {
    m_bases.emplace(m_run.reference(), kTokens, bytes);
    m_logits = logits(m_run.reference(), nullptr,
                      [this](const Op& op, const OpInputs& in) { m_bases->see(op, in); });
    m_bases->setLogits(m_logits);
  }

  size_t known(const Variant& variant) const {
    size_t count = 0;
    for (size_t i = 0; i < m_run.reference().graph().ops.size(); ++i) {
      count += m_bases->find(i, variant) != nullptr;
    }
    return count;
  }

  TinyRun m_run;
  std::optional<LinearBases> m_bases;
  Matrix m_logits;
};

TEST_F(LinearBasesTest, OfTheReferenceItselfChangeNoBit) {
  record(UINT64_MAX);
  EXPECT_EQ(known(m_run.reference()), 2U * 7 + 1);
  EXPECT_EQ(logits(m_run.reference(), &*m_bases).values, m_logits.values);
}

TEST_F(LinearBasesTest, GiveWhatAnExactRunChanges) {
  record(UINT64_MAX);
  Variant changed = m_run.with({"blk.0.attn_k.weight", "blk.1.ffn_gate.weight"}, "q4_0");
  EXPECT_EQ(known(changed), 2U * 7 + 1 - 2);
  const Matrix measured = logits(changed, &*m_bases);
  changed.setPrecision(Precision::Exact);
  const Matrix exact = logits(changed, nullptr);
  double error = 0;
  double change = 0;
  for (size_t i = 0; i < exact.values.size(); ++i) {
    error += std::pow(measured.values[i] - exact.values[i], 2);
    change += std::pow(exact.values[i] - m_logits.values[i], 2);
  }
  EXPECT_GT(change, 0);
  EXPECT_LT(std::sqrt(error / change), 1.0 / 128);
}

TEST_F(LinearBasesTest, TheLastBlocksAreKeptWhenMemoryIsShort) {
  record(UINT64_MAX);
  const uint64_t whole = m_bases->bytes();
  record(whole / 2);
  EXPECT_EQ(known(m_run.reference()), 7U + 1);
  EXPECT_LE(m_bases->bytes(), whole / 2 + kTokens * 64 * sizeof(float));
  record(0);
  EXPECT_EQ(known(m_run.reference()), 1U);
  EXPECT_EQ(logits(m_run.reference(), &*m_bases).values, m_logits.values);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/forward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "tests/support/paths.h"
#include "tests/support/small_transformer.h"

namespace bitloom {
namespace {

using test::SmallTransformer;
using test::SmallTransformerOptions;

std::vector<TokenId> someTokens(size_t count, int vocabulary = 50) {
  std::vector<TokenId> tokens(count);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<TokenId>(i * i * 7 + 3 * i) % vocabulary;
  return tokens;
}

class ForwardTest : public testing::Test {
 protected:
  void open(const SmallTransformerOptions& options) {
    m_transformer.emplace(options);
    const auto path = m_dir / "small.gguf";
    test::writeFile(path, m_transformer->ggufBytes());
    auto model = Model::open(path);
    ASSERT_TRUE(model) << model.error().message;
    auto variant = Variant::create(*model, m_cache);
    ASSERT_TRUE(variant) << variant.error().message;
    m_variant.emplace(std::move(*variant));
  }

  // Logits after every token of independent sequences laid end to end.
  Matrix run(const std::vector<TokenId>& tokens, const std::vector<Segment>& segments,
             JobContext& job) {
    Forward forward(*m_variant);
    auto stream = forward.embed(tokens, job);
    EXPECT_TRUE(stream) << stream.error().message;
    const int blocks = static_cast<int>(forward.graph().blocks);
    auto done = forward.blocks(0, blocks, *stream, segments, job);
    EXPECT_TRUE(done) << done.error().message;
    std::vector<uint32_t> rows(tokens.size());
    std::iota(rows.begin(), rows.end(), 0u);
    auto logits = forward.head(*stream, rows, job);
    EXPECT_TRUE(logits) << logits.error().message;
    return std::move(*logits);
  }

  Matrix run(const std::vector<TokenId>& tokens, int threads = 2) {
    Workers workers(threads);
    JobControl control;
    JobContext job(workers, control);
    return run(tokens, {{.tokens = static_cast<uint32_t>(tokens.size())}}, job);
  }

  // The largest difference from the oracle's logits, relative to the largest of these.
  double differenceFromOracle(Precision precision) {
    const auto tokens = someTokens(40);
    m_variant->setPrecision(precision);
    const Matrix logits = run(tokens);
    const auto expected = m_transformer->logits(tokens);
    double worst = 0;
    double largest = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      for (size_t j = 0; j < logits.cols; ++j) {
        worst = std::max(worst, std::fabs(double(logits.row(i)[j]) - expected[i][j]));
        largest = std::max(largest, std::fabs(expected[i][j]));
      }
    }
    EXPECT_GT(largest, 1);
    return worst / largest;
  }

  void expectOracle(const SmallTransformerOptions& options) {
    open(options);
    EXPECT_LT(differenceFromOracle(Precision::Exact), 2e-5);
    EXPECT_LT(differenceFromOracle(Precision::Measure), 2e-4);
    EXPECT_LT(differenceFromOracle(Precision::Chat), 5e-2);
  }

  test::TempDir m_dir;
  WeightCache m_cache{uint64_t{64} << 20};
  std::optional<SmallTransformer> m_transformer;
  std::optional<Variant> m_variant;
};

TEST_F(ForwardTest, LlamaWithGroupedHeadsEqualsTheOracle) { expectOracle({}); }

TEST_F(ForwardTest, TiedHeadEqualsTheOracle) { expectOracle({.tiedHead = true}); }

TEST_F(ForwardTest, FrequencyFactorsEqualTheOracle) { expectOracle({.frequencyFactors = true}); }

TEST_F(ForwardTest, PartialRotationEqualsTheOracle) { expectOracle({.rotated = 4}); }

TEST_F(ForwardTest, LinearScalingEqualsTheOracle) { expectOracle({.scaling = "linear"}); }

TEST_F(ForwardTest, YarnEqualsTheOracle) {
  // Rotated far enough for pairs on both sides of the blend.
  expectOracle({.keyLength = 16, .rotated = 16, .ropeBase = 10, .scaling = "yarn"});
}

TEST_F(ForwardTest, Qwen2WithBiasesEqualsTheOracle) {
  expectOracle({.architecture = "qwen2", .biases = true, .tiedHead = true});
}

TEST_F(ForwardTest, Qwen3WithHeadNormsEqualsTheOracle) {
  expectOracle({.architecture = "qwen3", .heads = 6, .kvHeads = 1});
}

TEST_F(ForwardTest, WidthsBeyondOneRunOfTheProductEqualTheOracle) {
  expectOracle({.blocks = 1, .width = 200, .keyLength = 50, .feedForward = 401, .rotated = 50});
}

TEST_F(ForwardTest, ThreadsDoNotChangeABit) {
  open({.biases = true});
  const auto tokens = someTokens(90);
  EXPECT_EQ(run(tokens, 1).values, run(tokens, 7).values);
}

TEST_F(ForwardTest, ASequenceDoesNotSeeItsNeighbours) {
  open({});
  Workers workers(2);
  JobControl control;
  JobContext job(workers, control);
  const auto left = someTokens(9);
  auto right = someTokens(40);
  right.erase(right.begin(), right.begin() + 11);
  auto both = left;
  both.insert(both.end(), right.begin(), right.end());
  const Matrix together = run(both, {{.tokens = 9}, {.tokens = 29}}, job);
  Matrix apart = run(left);
  const Matrix rest = run(right);
  apart.values.insert(apart.values.end(), rest.values.begin(), rest.values.end());
  EXPECT_EQ(together.values, apart.values);
}

TEST_F(ForwardTest, CacheInF32TokenByTokenGivesTheSameBits) {
  open({});
  Workers workers(2);
  JobControl control;
  JobContext job(workers, control);
  const auto tokens = someTokens(70);
  const Matrix whole = run(tokens);
  for (const KvFormat format : {KvFormat::F32, KvFormat::F16}) {
    KvCache cache(m_variant->graph(), 70, format);
    double worst = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const Matrix one =
          run({tokens[i]}, {{.tokens = 1, .firstPosition = uint32_t(i), .cache = &cache}}, job);
      for (size_t j = 0; j < one.cols; ++j) {
        worst = std::max(worst, std::fabs(double(one.row(0)[j]) - double(whole.row(i)[j])));
      }
    }
    if (format == KvFormat::F32) {
      EXPECT_EQ(worst, 0);
    } else {
      EXPECT_LT(worst, 0.05);
      EXPECT_GT(worst, 0);
    }
  }
}

TEST_F(ForwardTest, BlocksCanBeRunOneAtATimeFromKeptStreams) {
  open({.blocks = 3});
  Workers workers(2);
  JobControl control;
  JobContext job(workers, control);
  Forward forward(*m_variant);
  const auto tokens = someTokens(12);
  const std::vector<Segment> segments{{.tokens = 12}};
  auto whole = forward.embed(tokens, job);
  ASSERT_TRUE(whole);
  Matrix stepped = *whole;
  ASSERT_TRUE(forward.blocks(0, 3, *whole, segments, job));
  for (int block = 0; block < 3; ++block) {
    ASSERT_TRUE(forward.blocks(block, block + 1, stepped, segments, job));
  }
  EXPECT_EQ(stepped.values, whole->values);
}

TEST_F(ForwardTest, TapSeesTheInputOfEveryLinearOp) {
  open({});
  Workers workers(2);
  JobControl control;
  JobContext job(workers, control);
  std::map<std::string, size_t> seen;
  const OpTap tap = [&](const Op& op, const OpInputs& inputs) {
    if (op.kind != OpKind::Linear) return;
    const Matrix& input = *inputs.input;
    const Tensor& t = m_variant->model().tensors()[size_t(op.weight)];
    EXPECT_EQ(input.cols, t.rowLength());
    EXPECT_EQ(input.rows, 5u);
    ++seen[t.name];
  };
  Forward forward(*m_variant);
  auto stream = forward.embed(someTokens(5), job);
  ASSERT_TRUE(stream);
  const Segment all{.tokens = 5};
  ASSERT_TRUE(forward.blocks(0, 2, *stream, {&all, 1}, job, tap));
  const std::vector<uint32_t> rows{0, 1, 2, 3, 4};
  ASSERT_TRUE(forward.head(*stream, rows, job, tap));
  EXPECT_EQ(seen.size(), 15u);  // 7 in each of 2 blocks and the head
  for (const auto& [name, count] : seen) EXPECT_EQ(count, 1u) << name;
}

TEST_F(ForwardTest, ACacheTooSmallForAnyTensorGivesTheSameBits) {
  open({});
  const auto tokens = someTokens(20);
  const Matrix kept = run(tokens);
  WeightCache nothing(1);
  auto variant = Variant::create(m_variant->sharedModel(), nothing);
  ASSERT_TRUE(variant);
  m_variant.emplace(std::move(*variant));
  EXPECT_EQ(run(tokens).values, kept.values);
  EXPECT_EQ(nothing.bytes(), 0u);
}

TEST_F(ForwardTest, TokenOutsideTheVocabularyIsNamed) {
  open({});
  Workers workers(1);
  JobControl control;
  JobContext job(workers, control);
  Forward forward(*m_variant);
  for (const TokenId bad : {50, -1}) {
    const auto result = forward.embed(std::vector<TokenId>{1, bad}, job);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::InvalidArgument);
    EXPECT_NE(result.error().message.find(std::to_string(bad)), std::string::npos);
    EXPECT_NE(result.error().message.find("50"), std::string::npos);
  }
}

TEST_F(ForwardTest, CancelIsAnOutcome) {
  open({});
  Workers workers(1);
  JobControl control;
  JobContext job(workers, control);
  Forward forward(*m_variant);
  auto stream = forward.embed(someTokens(5), job);
  ASSERT_TRUE(stream);
  control.cancel();
  const Segment all{.tokens = 5};
  const auto result = forward.blocks(0, 2, *stream, {&all, 1}, job);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::Cancelled);
}

}  // namespace
}  // namespace bitloom

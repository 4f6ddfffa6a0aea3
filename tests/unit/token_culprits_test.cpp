// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/token_culprits.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/inference/forward.h"
#include "core/statistics.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::take;
using test::TinyRun;

// Divergence after the context, by whole runs.
double divergence(TinyRun& run, const Variant& variant, const std::vector<TokenId>& context) {
  std::vector<Matrix> logits;
  for (const Variant* each : {&run.reference(), &variant}) {
    Forward forward(*each);
    Matrix stream = take(forward.embed(context, run.job()));
    const std::vector<Segment> segments = {{.tokens = uint32_t(context.size())}};
    EXPECT_TRUE(forward.blocks(0, int(forward.graph().blocks), stream, segments, run.job()));
    const std::vector<uint32_t> rows = {uint32_t(context.size() - 1)};
    logits.push_back(take(forward.head(stream, rows, run.job())));
  }
  return klDivergence(logits[0].values, logits[1].values);
}

class TokenCulpritsTest : public testing::TestWithParam<bool> {
 protected:
  static test::TinyModelOptions options() {
    test::TinyModelOptions result;
    result.tiedHead = GetParam();
    return result;
  }
};
INSTANTIATE_TEST_SUITE_P(Head, TokenCulpritsTest, testing::Bool(),
                         [](const auto& tied) { return tied.param ? "Tied" : "OfItsOwn"; });

TEST_P(TokenCulpritsTest, TheOneChangedTensorGivesEverythingBack) {
  TinyRun run(options());
  const auto context = run.randomTokens(12);
  for (const char* name : {"blk.0.attn_v.weight", "blk.1.ffn_down.weight", "token_embd.weight"}) {
    const Variant changed = run.with({name}, "tq3_1s");
    const TokenCulprits found = take(findCulprits(run.reference(), changed, context, 3, run.job()));
    EXPECT_NEAR(found.kld, divergence(run, changed, context), 1e-3 * found.kld);
    EXPECT_GT(found.kld, 0);
    ASSERT_EQ(found.best.size(), 1u) << name;
    EXPECT_EQ(found.best[0].tensor, run.tensor(name));
    EXPECT_LT(found.best[0].kld, 1e-9);
  }
}

TEST_P(TokenCulpritsTest, TheBestOfAllTensorsIsFoundAndItsGainIsTheMeasuredOne) {
  TinyRun run(options());
  Variant changed = run.reference().copy();
  std::vector<size_t> tensors;
  for (const Tensor& tensor : run.model()->tensors()) {
    if (tensor.dimensions < 2) continue;
    tensors.push_back(run.model()->indexOf(tensor));
    changed.setTensor(tensors.back(), findCodec("tq4_1s"));
  }
  const auto context = run.randomTokens(15, 4);
  double best = divergence(run, changed, context);
  size_t bestTensor = 0;
  for (const size_t tensor : tensors) {
    Variant restored = changed.copy();
    restored.setTensor(tensor, nullptr);
    const double kld = divergence(run, restored, context);
    if (kld < best) std::tie(best, bestTensor) = std::pair(kld, tensor);
  }
  const TokenCulprits found = take(findCulprits(run.reference(), changed, context, 3, run.job()));
  ASSERT_EQ(found.best.size(), 3u);
  EXPECT_EQ(found.best[0].tensor, bestTensor);
  EXPECT_NEAR(found.best[0].kld, best, 1e-2 * best);
  EXPECT_LE(found.best[0].kld, found.best[1].kld);
  EXPECT_LE(found.best[1].kld, found.best[2].kld);
  EXPECT_LT(found.best[2].kld, found.kld);
  EXPECT_LE(found.measured, 9u);
}

TEST(TokenCulprits, NothingChangedIsNothingToRestore) {
  TinyRun run;
  const auto context = run.randomTokens(5);
  const TokenCulprits found =
      take(findCulprits(run.reference(), run.reference(), context, 3, run.job()));
  EXPECT_EQ(found.kld, 0);
  EXPECT_TRUE(found.best.empty());
}

TEST(TokenCulprits, RefusesAnEncodedReferenceAndAnEmptyContext) {
  TinyRun run;
  const auto context = run.randomTokens(5);
  const Variant changed = run.with({"blk.0.attn_v.weight"}, "q4_0");
  EXPECT_FALSE(findCulprits(changed, run.reference(), context, 3, run.job()));
  EXPECT_FALSE(findCulprits(run.reference(), changed, {}, 3, run.job()));
}

}  // namespace
}  // namespace bitloom

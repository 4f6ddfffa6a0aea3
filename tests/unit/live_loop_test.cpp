// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/live_loop.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "core/method.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::take;
using test::TinyModelOptions;
using test::TinyRun;

constexpr ProbeOptions kProbe = {.sequences = 6, .tokens = 20, .firstScored = 5};

struct ExactRun : TinyRun {
  explicit ExactRun(const TinyModelOptions& options = {}) : TinyRun(options) {
    setPrecision(Precision::Exact);
  }
};

std::unique_ptr<LiveLoop> startLoop(TinyRun& run) {
  return take(LiveLoop::create(run.reference(), run.randomTokens(120), kProbe, run.job()));
}

// What `evaluate` says of the same rows. It scores a row only when the text has a next token, so
// each sequence gets one more, which no earlier row can see.
Estimate evaluated(TinyRun& run, const Variant& variant) {
  Windows windows;
  const std::vector<TokenId> tokens = run.randomTokens(120);
  for (size_t sequence = 0; sequence < kProbe.sequences; ++sequence) {
    const auto first = tokens.begin() + std::ptrdiff_t(sequence * kProbe.tokens);
    windows.tokens.insert(windows.tokens.end(), first, first + kProbe.tokens);
    windows.tokens.push_back(0);
  }
  windows.contextLength = kProbe.tokens + 1;
  windows.firstScored = kProbe.firstScored;
  return take(evaluate(variant, &run.reference(), windows, run.job())).kld;
}

void expectEqual(const Estimate& got, const Estimate& wanted, double relative = 1e-6) {
  EXPECT_GT(wanted.mean, 1e-7);
  EXPECT_NEAR(got.mean, wanted.mean, relative * wanted.mean);
  EXPECT_NEAR(got.error, wanted.error, 10 * relative * wanted.error);
  EXPECT_EQ(got.samples, kProbe.sequences);
}

// On a matrix unit Measure multiplies differences from the reference, to 2⁻⁹ of each.
class LiveLoopHeads : public testing::TestWithParam<std::tuple<bool, Precision>> {
 protected:
  static bool tied() { return std::get<0>(GetParam()); }
  static Precision precision() { return std::get<1>(GetParam()); }
  static TinyModelOptions options() {
    TinyModelOptions result;
    result.tiedHead = tied();
    result.blocks = 3;
    return result;
  }
  static void expectClose(const Estimate& got, const Estimate& wanted) {
    expectEqual(got, wanted, precision() == Precision::Exact ? 1e-6 : 1e-2);
  }
};
INSTANTIATE_TEST_SUITE_P(Head, LiveLoopHeads,
                         testing::Combine(testing::Bool(),
                                          testing::Values(Precision::Exact, Precision::Measure)),
                         [](const auto& values) {
                           const bool tied = std::get<0>(values.param);
                           const bool exact = std::get<1>(values.param) == Precision::Exact;
                           return std::string(tied ? "Tied" : "OfItsOwn") +
                                  (exact ? "Exact" : "Measure");
                         });

TEST_P(LiveLoopHeads, EveryTensorsDivergenceEqualsThatOfEvaluation) {
  TinyRun run(options());
  run.setPrecision(precision());
  const auto loop = startLoop(run);
  const Method& nearest = *findMethod("nearest");
  size_t checked = 0;
  for (const Tensor& tensor : run.model()->tensors()) {
    if (tensor.dimensions < 2) continue;
    const auto result = loop->measureTensor(run.model()->indexOf(tensor), *findCodec("q4_0"),
                                            nearest, nullptr, run.job());
    ASSERT_TRUE(result) << tensor.name << ": " << result.error().message;
    SCOPED_TRACE(tensor.name);
    expectClose(result->kld, evaluated(run, run.with({tensor.name.c_str()}, "q4_0")));
    ++checked;
  }
  EXPECT_EQ(checked, 3U * 7 + (tied() ? 1 : 2));
}

TEST_P(LiveLoopHeads, RecomputationBeginsWhereTheChangeDoes) {
  TinyRun run(options());
  run.setPrecision(precision());
  const auto loop = startLoop(run);
  Variant variant = run.reference().copy();
  const auto change = [&](const char* tensor, const char* codec) {
    variant.setTensor(run.tensor(tensor), codec == nullptr ? nullptr : findCodec(codec));
    const ProbeResult result = take(loop->measure(variant, run.job()));
    return result;
  };
  EXPECT_EQ(change("blk.2.attn_q.weight", "q4_0").firstBlock, 2);
  expectClose(take(loop->measure(variant, run.job())).kld, evaluated(run, variant));
  // A later drag keeps the earlier one: both are in the result.
  const ProbeResult both = change("blk.1.ffn_down.weight", "q4_0");
  EXPECT_EQ(both.firstBlock, 1);
  expectClose(both.kld, evaluated(run, variant));
  const ProbeResult later = change("blk.2.attn_q.weight", "q8_0");
  EXPECT_EQ(later.firstBlock, 2);
  expectClose(later.kld, evaluated(run, variant));
  const ProbeResult embedding = change("token_embd.weight", "q4_0");
  EXPECT_EQ(embedding.firstBlock, -1);
  expectClose(embedding.kld, evaluated(run, variant));
  if (!tied()) {
    const ProbeResult head = change("output.weight", "q4_0");
    EXPECT_EQ(head.firstBlock, 3);
    expectClose(head.kld, evaluated(run, variant));
  }
  // Nothing changed: the same answer, and no block computed.
  const ProbeResult again = take(loop->measure(variant, run.job()));
  EXPECT_EQ(again.firstBlock, 4);
  expectClose(again.kld, evaluated(run, variant));
}

TEST(LiveLoop, BackAtTheReferenceTheDivergenceIsExactlyZero) {
  TinyRun run;
  const auto loop = startLoop(run);
  EXPECT_EQ(take(loop->measure(run.reference(), run.job())).kld.mean, 0);
  const Variant changed = run.with({"token_embd.weight", "blk.1.attn_k.weight"}, "q4_0");
  EXPECT_GT(take(loop->measure(changed, run.job())).kld.mean, 0);
  const ProbeResult back = take(loop->measure(run.reference(), run.job()));
  EXPECT_EQ(back.kld.mean, 0);
  EXPECT_EQ(back.sequenceKld, std::vector<double>(kProbe.sequences, 0.0));
}

TEST(LiveLoop, MeasuringATensorDoesNotDisturbTheVariantAtHand) {
  TinyRun run;
  const auto loop = startLoop(run);
  const Variant variant = run.with({"blk.0.ffn_gate.weight"}, "q4_0");
  const ProbeResult before = take(loop->measure(variant, run.job()));
  ASSERT_TRUE(loop->measureTensor(run.tensor("blk.0.attn_q.weight"), *findCodec("q4_0"),
                                  *findMethod("nearest"), nullptr, run.job()));
  EXPECT_EQ(take(loop->measure(variant, run.job())).kld.mean, before.kld.mean);
  EXPECT_GT(before.kld.mean, 0);
}

TEST(LiveLoop, ShowsTheReferencesLikeliestTokensWithBothProbabilities) {
  TinyRun run;
  const auto loop = startLoop(run);
  const ProbeResult same = take(loop->measure(run.reference(), run.job()));
  ASSERT_EQ(same.reference.size(), 8U);
  double sum = 0;
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(same.reference[i].id, same.variant[i].id);
    EXPECT_NEAR(same.reference[i].probability, same.variant[i].probability, 1e-7);
    if (i > 0) {
      EXPECT_GE(same.reference[i - 1].probability, same.reference[i].probability);
    }
    sum += same.reference[i].probability;
  }
  EXPECT_GT(sum, 8.0 / 64);
  EXPECT_LE(sum, 1);
  const ProbeResult changed = take(loop->measure(run.with({"output.weight"}, "tq3_1s"), run.job()));
  EXPECT_EQ(changed.reference[0].probability, same.reference[0].probability);
  EXPECT_NE(changed.variant[0].probability, same.variant[0].probability);
}

TEST(LiveLoop, ACancelledMeasurementLeavesTheNextOneRight) {
  ExactRun run;
  const auto loop = startLoop(run);
  const Variant first = run.with({"blk.0.ffn_up.weight"}, "q4_0");
  ASSERT_TRUE(loop->measure(first, run.job()));
  const Variant second = run.with({"blk.1.ffn_up.weight"}, "q4_0");
  {
    JobControl control;
    JobContext job(run.workers(), control);
    control.cancel();
    const auto cancelled = loop->measure(second, job);
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().code, ErrorCode::Cancelled);
  }
  expectEqual(take(loop->measure(second, run.job())).kld, evaluated(run, second));
}

TEST(LiveLoop, CancelIsNoticedAtEveryPointOfTheWay) {
  ExactRun run;
  const auto loop = startLoop(run);
  const Variant variant = run.with({"token_embd.weight"}, "q4_0");
  const Estimate wanted = evaluated(run, variant);
  for (int microseconds = 0; microseconds < 3000; microseconds += 250) {
    JobControl control;
    JobContext job(run.workers(), control);
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
      control.cancel();
    });
    const auto result = loop->measure(variant, job);
    canceller.join();
    if (result) {
      expectEqual(result->kld, wanted);
      ASSERT_TRUE(loop->measure(run.reference(), run.job()));
    } else {
      EXPECT_EQ(result.error().code, ErrorCode::Cancelled);
    }
  }
  expectEqual(take(loop->measure(variant, run.job())).kld, wanted);
}

TEST(LiveLoop, KeepsLogitsAndOneSetOfBordersUntilAVariantDiffers) {
  ExactRun run;
  const auto loop = startLoop(run);
  const uint64_t logits = 6U * 15 * 64 * 4;
  const uint64_t border = 120U * 64 * 4;
  EXPECT_EQ(loop->bytes(), logits + 3 * border);
  ASSERT_TRUE(loop->measure(run.with({"blk.1.ffn_up.weight"}, "q4_0"), run.job()));
  EXPECT_EQ(loop->bytes(), logits + 4 * border);  // only what follows block 1 differs
}

TEST(LiveLoop, RefusesAProbeThatDoesNotFit) {
  TinyRun run;
  const auto tokens = LiveLoop::create(run.reference(), run.randomTokens(119), kProbe, run.job());
  ASSERT_FALSE(tokens);
  EXPECT_NE(tokens.error().message.find("120"), std::string::npos);
  EXPECT_NE(tokens.error().message.find("119"), std::string::npos);
  ProbeOptions unscored = kProbe;
  unscored.firstScored = unscored.tokens;
  EXPECT_FALSE(LiveLoop::create(run.reference(), run.randomTokens(120), unscored, run.job()));
}

TEST(LiveLoop, RefusesAnotherModel) {
  TinyRun run;
  TinyRun other;
  const auto loop = startLoop(run);
  const auto result = loop->measure(other.reference(), run.job());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::InvalidArgument);
}

// 17 sequences of 20 tokens.
std::unique_ptr<LiveLoop> startLoop(TinyRun& run, double tolerance) {
  ProbeOptions options = kProbe;
  options.sequences = 17;
  options.tolerance = tolerance;
  return take(LiveLoop::create(run.reference(), run.randomTokens(340), options, run.job()));
}

TEST_P(LiveLoopHeads, ATensorIsMeasuredUntilItsIntervalIsWithinTheTolerance) {
  TinyRun run(options());
  run.setPrecision(precision());
  const Method& nearest = *findMethod("nearest");
  const auto all = startLoop(run, 0);
  for (const char* name : {"token_embd.weight", "blk.1.ffn_down.weight"}) {
    const auto measured = [&](LiveLoop& loop) {
      return take(
          loop.measureTensor(run.tensor(name), *findCodec("q4_0"), nearest, nullptr, run.job()));
    };
    const ProbeResult whole = measured(*all);
    ASSERT_EQ(whole.kld.samples, 17U);
    // Never sure: every sequence, and the same numbers.
    EXPECT_EQ(measured(*startLoop(run, 1e-9)).sequenceKld, whole.sequenceKld);
    const ProbeResult quick = measured(*startLoop(run, 100));
    EXPECT_EQ(quick.sequenceKld,
              std::vector<double>(whole.sequenceKld.begin(), whole.sequenceKld.begin() + 8));
    EXPECT_EQ(quick.variant.size(), whole.variant.size());
    // Between: as soon as the interval allows, and not before.
    const std::span<const double> samples = whole.sequenceKld;
    const Estimate twelve = estimate(samples.first(12));
    const double tolerance = interval95(twelve) / twelve.mean * (1 + 1e-12);
    const Estimate eight = estimate(samples.first(8));
    const size_t wanted = interval95(eight) <= tolerance * eight.mean ? 8 : 12;
    EXPECT_EQ(measured(*startLoop(run, tolerance)).kld.samples, wanted);
  }
}

TEST(LiveLoop, WithAToleranceTheFirstSequencesAreSpreadOverTheText) {
  TinyRun run;
  const Tokenizer tokenizer = run.tokenizer();
  std::string text;
  for (char c = 'a'; c <= 'z'; ++c) text += std::string(20, c);
  ProbeOptions options{.sequences = 5, .tokens = 8, .firstScored = 0};
  const std::vector<TokenId> plain = take(probeTokens(tokenizer, text, options));
  options.tolerance = 0.1;
  const std::vector<TokenId> spread = take(probeTokens(tokenizer, text, options));
  const size_t order[] = {0, 4, 2, 1, 3};
  for (size_t i = 0; i < spread.size(); ++i) {
    EXPECT_EQ(spread[i], plain[order[i / 8] * 8 + i % 8]) << i;
  }
}

TEST(LiveLoop, ProbeSequencesAreSpreadEvenlyOverTheText) {
  TinyRun run;
  const Tokenizer tokenizer = run.tokenizer();
  std::string text;
  for (char c = 'a'; c <= 'z'; ++c) text += std::string(20, c);
  const std::vector<TokenId> all = tokenizer.encode(text);
  const auto tokens = probeTokens(tokenizer, text, {.sequences = 4, .tokens = 8, .firstScored = 0});
  ASSERT_TRUE(tokens);
  ASSERT_EQ(tokens->size(), 32U);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_EQ((*tokens)[i], all[i / 8 * (all.size() / 4) + i % 8]) << i;
  }
  const auto refused = probeTokens(tokenizer, "xq", kProbe);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "The probe text has 2 tokens, and 6 sequences of 20 tokens need 120.");
}

}  // namespace
}  // namespace bitloom

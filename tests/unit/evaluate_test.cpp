// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/statistics.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::TinyModelOptions;
using test::TinyRun;

Windows randomWindows(const TinyRun& run, uint32_t count, uint32_t length, uint32_t firstScored) {
  Windows windows;
  windows.tokens = run.randomTokens(size_t(count) * length);
  windows.contextLength = length;
  windows.firstScored = firstScored;
  return windows;
}

// Logits of every position of one window, computed alone.
Matrix logitsOf(const Variant& variant, std::span<const TokenId> window, JobContext& job) {
  Forward forward(variant);
  Matrix stream = test::take(forward.embed(window, job));
  const std::vector<Segment> segments = {{.tokens = uint32_t(window.size())}};
  EXPECT_TRUE(forward.blocks(0, int(forward.graph().blocks), stream, segments, job));
  std::vector<uint32_t> rows(window.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = uint32_t(i);
  return test::take(forward.head(stream, rows, job));
}

TEST(Evaluate, FiguresEqualThePlainFormulas) {
  TinyRun run;
  const Windows windows = randomWindows(run, 5, 24, 10);
  const Variant coarse = run.with({"blk.0.ffn_up.weight", "blk.1.attn_v.weight"}, "q4_0");
  const auto result = evaluate(coarse, &run.reference(), windows, run.job());
  ASSERT_TRUE(result) << result.error().message;

  double nll = 0;
  double squares = 0;
  size_t same = 0;
  std::vector<double> kld;
  std::vector<double> nlls;
  std::vector<double> windowKld;
  for (size_t first = 0; first < windows.tokens.size(); first += 24) {
    const auto tokens = std::span(windows.tokens).subspan(first, 24);
    const Matrix ours = logitsOf(coarse, tokens, run.job());
    const Matrix theirs = logitsOf(run.reference(), tokens, run.job());
    windowKld.push_back(0);
    for (size_t row = 10; row <= 22; ++row) {
      const std::span a(theirs.row(row), theirs.cols);
      const std::span b(ours.row(row), ours.cols);
      const double value = negativeLogLikelihood(b, size_t(tokens[row + 1]));
      nll += value;
      nlls.push_back(value);
      squares += value * value;
      same += std::max_element(a.begin(), a.end()) - a.begin() ==
                      std::max_element(b.begin(), b.end()) - b.begin()
                  ? 1
                  : 0;
      kld.push_back(klDivergence(a, b));
      windowKld.back() += kld.back() / 13;
    }
  }
  const double n = 5 * 13;
  const double perplexity = std::exp(nll / n);
  EXPECT_EQ(result->tokens, 65U);
  EXPECT_EQ(result->windows, 5U);
  EXPECT_NEAR(result->perplexity, perplexity, 1e-5 * perplexity);
  EXPECT_NEAR(result->perplexityError,
              perplexity * std::sqrt((squares / n - nll / n * nll / n) / (n - 1)), 1e-4);
  ASSERT_TRUE(result->hasReference);
  ASSERT_EQ(result->windowKld.size(), 5U);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(result->windowKld[i], windowKld[i], 1e-5 * windowKld[i]);
  }
  EXPECT_GT(result->kld.mean, 1e-6);
  EXPECT_NEAR(result->kld.mean, estimate(windowKld).mean, 1e-5 * result->kld.mean);
  EXPECT_NEAR(result->kld.error, estimate(windowKld).error, 1e-4 * result->kld.error);
  EXPECT_NEAR(result->kldMax, *std::max_element(kld.begin(), kld.end()), 1e-5);
  const std::vector<double> kldInOrder = kld;
  EXPECT_NEAR(result->kldP99, percentile(kld, 0.99), 1e-5 * result->kldMax);
  EXPECT_NEAR(result->kldP999, percentile(kld, 0.999), 1e-5 * result->kldMax);
  EXPECT_NEAR(result->sameTop.mean, double(same) / n, 1e-12);
  EXPECT_EQ(result->tiedTops, 0U);

  // What is kept of the tokens and windows, and the intervals made of it.
  ASSERT_EQ(result->tokenKld.size(), 65U);
  ASSERT_EQ(result->tokenNll.size(), 65U);
  for (size_t i = 0; i < 65; ++i) EXPECT_NEAR(result->tokenKld[i], kldInOrder[i], 1e-5) << i;
  std::vector<double> windowNll;
  for (size_t w = 0; w < 5; ++w) {
    double sum = 0;
    for (size_t i = 13 * w; i < 13 * (w + 1); ++i) sum += nlls[i];
    windowNll.push_back(sum / 13);
  }
  const double half = interval95(estimate(windowNll));
  EXPECT_NEAR(std::log(result->perplexityInterval.low), nll / n - half, 1e-5);
  EXPECT_NEAR(std::log(result->perplexityInterval.high), nll / n + half, 1e-5);
  const Interval kldInterval = divergenceInterval95(windowKld);
  EXPECT_NEAR(result->kldInterval.low, kldInterval.low, 1e-4 * result->kld.mean);
  EXPECT_NEAR(result->kldInterval.high, kldInterval.high, 1e-4 * result->kld.mean);
  EXPECT_LT(result->sameTopInterval.low, result->sameTop.mean);
  EXPECT_LE(result->sameTopInterval.high, 1);
}

TEST(Evaluate, AModelAgainstItselfDivergesNowhere) {
  TinyRun run;
  const Windows windows = randomWindows(run, 3, 16, 8);
  const Variant twin = run.reference().copy();
  for (const Variant* variant : {&twin, &run.reference()}) {
    const auto result = evaluate(*variant, &run.reference(), windows, run.job());
    ASSERT_TRUE(result);
    EXPECT_EQ(result->kld.mean, 0);
    EXPECT_EQ(result->kldMax, 0);
    EXPECT_EQ(result->sameTop.mean, 1);
    EXPECT_GT(result->perplexity, 1);
  }
}

TEST(Evaluate, SeveralVariantsAtOnceEqualOneAtATime) {
  TinyRun run;
  const Windows windows = randomWindows(run, 4, 20, 10);
  const Variant a = run.with({"blk.0.ffn_up.weight"}, "q4_0");
  const Variant b = run.with({"output.weight"}, "q8_0");
  const Variant* variants[] = {&a, &run.reference(), &b};
  const auto together = evaluateAll(variants, &run.reference(), windows, run.job());
  ASSERT_TRUE(together);
  ASSERT_EQ(together->size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    const auto alone = evaluate(*variants[i], &run.reference(), windows, run.job());
    ASSERT_TRUE(alone);
    EXPECT_EQ((*together)[i].perplexity, alone->perplexity);
    EXPECT_EQ((*together)[i].windowKld, alone->windowKld);
  }
  EXPECT_NE((*together)[0].kld.mean, (*together)[2].kld.mean);
}

TEST(Evaluate, SameFiguresAtAnyThreadCount) {
  std::vector<Evaluation> results;
  for (int threads : {1, 3}) {
    TinyRun run(test::TinyModelOptions{}, threads);
    const Variant coarse = run.with({"blk.1.ffn_down.weight"}, "q4_0");
    results.push_back(
        test::take(evaluate(coarse, &run.reference(), randomWindows(run, 4, 24, 12), run.job())));
  }
  EXPECT_EQ(results[0].perplexity, results[1].perplexity);
  EXPECT_EQ(results[0].windowKld, results[1].windowKld);
}

TEST(Evaluate, UniformLogitsGiveThePerplexityOfTheVocabulary) {
  const test::TempDir folder;
  const auto path = test::writeTinyModel(folder / "zero.gguf");
  std::string bytes = test::readFile(path);
  {
    const auto model = test::take(Model::open(path));
    const Tensor* head = model->find("output.weight");
    ASSERT_NE(head, nullptr);
    const std::string weights(reinterpret_cast<const char*>(head->bytes.data()),
                              head->bytes.size());
    const size_t at = bytes.find(weights);
    ASSERT_NE(at, std::string::npos);
    bytes.replace(at, weights.size(), std::string(weights.size(), '\0'));
  }
  test::writeFile(folder / "zero.gguf", bytes);
  TinyRun run(folder / "zero.gguf");
  const auto result = evaluate(run.reference(), nullptr, randomWindows(run, 3, 16, 8), run.job());
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->perplexity, run.reference().graph().vocabulary, 1e-4);
  EXPECT_NEAR(result->perplexityError, 0, 1e-4);
  EXPECT_FALSE(result->hasReference);
  EXPECT_TRUE(result->tokenKld.empty());

  // All logits of this reference are equal: whatever a variant puts first is among its tops.
  TinyRun other;
  const auto tied =
      evaluate(other.reference(), &run.reference(), randomWindows(run, 3, 16, 8), run.job());
  ASSERT_TRUE(tied) << tied.error().message;
  EXPECT_EQ(tied->tiedTops, tied->tokens);
  EXPECT_EQ(tied->sameTop.mean, 1);
  // The other way round the reference decides, and has one top.
  const auto untied =
      evaluate(run.reference(), &other.reference(), randomWindows(run, 3, 16, 8), run.job());
  ASSERT_TRUE(untied);
  EXPECT_EQ(untied->tiedTops, 0U);
  EXPECT_LT(untied->sameTop.mean, 1);
}

TEST(Evaluate, WindowsScoreTheSecondHalfAndDropTheTail) {
  TinyRun run;
  const Tokenizer tokenizer = run.tokenizer();
  std::string text;
  for (int i = 0; i < 30; ++i) text += "xq zj ";
  const size_t tokens = tokenizer.encode(text).size();
  const auto windows = makeWindows(tokenizer, text, {.contextLength = 16, .maxChunks = 0}, "t");
  ASSERT_TRUE(windows) << windows.error().message;
  EXPECT_EQ(windows->count(), tokens / 16);
  EXPECT_EQ(windows->firstScored, 8U);
  const auto evaluated = evaluate(run.reference(), nullptr, *windows, run.job());
  ASSERT_TRUE(evaluated);
  EXPECT_EQ(evaluated->tokens, windows->count() * (16U - 1 - 8));

  const auto two = makeWindows(tokenizer, text, {.contextLength = 16, .maxChunks = 2}, "t");
  ASSERT_TRUE(two);
  EXPECT_EQ(two->count(), 2U);
  EXPECT_TRUE(std::equal(two->tokens.begin(), two->tokens.end(), windows->tokens.begin()));
}

TEST(Evaluate, EveryWindowBeginsWithBosWhenTheVocabularyWantsIt) {
  TinyModelOptions options;
  options.tokenizer = test::TinyTokenizer::Spm;
  TinyRun run(options);
  const Tokenizer tokenizer = run.tokenizer();
  ASSERT_TRUE(tokenizer.addsBos());
  std::string text;
  for (int i = 0; i < 40; ++i) text += "xq zj ";
  const auto windows = makeWindows(tokenizer, text, {.contextLength = 16, .maxChunks = 0}, "t");
  ASSERT_TRUE(windows);
  const std::vector<TokenId> all = tokenizer.encodeWithBos(text, false);
  for (size_t i = 0; i < windows->tokens.size(); ++i) {
    EXPECT_EQ(windows->tokens[i], i % 16 == 0 ? *tokenizer.bos() : all[i]) << i;
  }
}

TEST(Evaluate, ATextThatIsTooShortSaysHowMuchIsMissing) {
  TinyRun run;
  const auto windows =
      makeWindows(run.tokenizer(), "xq", {.contextLength = 16, .maxChunks = 0}, "short.txt");
  ASSERT_FALSE(windows);
  EXPECT_EQ(windows.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(windows.error().message, "short.txt: has 2 tokens, and windows of 16 tokens need 32.");
}

TEST(Evaluate, ModelsOfDifferentVocabulariesAreRefused) {
  TinyRun run;
  TinyModelOptions options;
  options.vocabulary = 72;
  TinyRun other(options);
  const auto result =
      evaluate(other.reference(), &run.reference(), randomWindows(run, 2, 8, 4), run.job());
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("72 tokens"), std::string::npos);
  EXPECT_NE(result.error().message.find("64"), std::string::npos);
}

TEST(Evaluate, ProgressEndsAtItsTotalAndCancelIsAnOutcome) {
  TinyRun run;
  const Windows windows = randomWindows(run, 3, 16, 8);
  const Variant coarse = run.with({"blk.1.ffn_down.weight"}, "q8_0");
  ASSERT_TRUE(evaluate(coarse, &run.reference(), windows, run.job()));
  const JobProgress progress = run.control().progress();
  EXPECT_EQ(progress.unit, "tokens");
  EXPECT_EQ(progress.total, 2U * 48);
  EXPECT_EQ(progress.done, progress.total);

  run.control().cancel();
  const auto cancelled = evaluate(coarse, &run.reference(), windows, run.job());
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::Cancelled);
}

nlohmann::json golden(const std::string& relative) {
  return nlohmann::json::parse(test::readFile(test::sharedPath(relative)));
}

TEST(EvaluateGolden, SmolLm2PerplexityEqualsTheReference) {
  NEEDS_SHARED("models/SmolLM2-135M-Instruct.Q4_1.gguf");
  NEEDS_SHARED("golden/smollm2/expected.json");
  NEEDS_SHARED("data/wikitext2-test.txt");
  TinyRun run(test::sharedPath("models/SmolLM2-135M-Instruct.Q4_1.gguf"), 0);
  const std::string text = test::readFile(test::sharedPath("data/wikitext2-test.txt"));
  const auto expected = golden("golden/smollm2/expected.json").at("wikitext2").at("as_bytes");
  const auto& running = expected.at("running_ppl");
  const uint32_t chunks = uint32_t(running.size());
  const auto windows = test::take(
      makeWindows(run.tokenizer(), text, {.contextLength = 512, .maxChunks = chunks}, "wikitext2"));
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    for (size_t i = 0; i < 4; ++i) {
      ASSERT_EQ(windows.tokens[chunk * 512 + i],
                expected.at("chunk_first4_ids").at(chunk).at(i).get<TokenId>());
    }
  }
  const auto result = test::take(evaluate(run.reference(), nullptr, windows, run.job()));
  EXPECT_EQ(result.tokens, 255U * chunks);
  EXPECT_NEAR(result.perplexity, running.back().get<double>(), 0.01);
}

TEST(EvaluateGolden, StoryPerplexitiesEqualTheReference) {
  NEEDS_SHARED("golden/story/expected.json");
  NEEDS_SHARED("data/classics");
  TinyRun run(test::sourcePath("resources/models/bitloom-story-11m-f16.gguf"), 0);
  const Tokenizer tokenizer = run.tokenizer();
  const auto books = golden("golden/story/expected.json").at("perplexity");
  ASSERT_EQ(books.size(), 3U);
  for (const auto& [book, expected] : books.items()) {
    const std::string text = test::readFile(test::sharedPath("data/classics/" + book + ".txt"));
    const auto windows =
        test::take(makeWindows(tokenizer, text, {.contextLength = 512, .maxChunks = 16}, book));
    const auto result = test::take(evaluate(run.reference(), nullptr, windows, run.job()));
    const double perplexity = expected.at("perplexity").get<double>();
    const double error = expected.at("stderr").get<double>();
    EXPECT_EQ(result.tokens, expected.at("scored_tokens").get<uint64_t>());
    EXPECT_NEAR(result.perplexity, perplexity, 5e-4 * perplexity) << book;
    EXPECT_NEAR(result.perplexityError, error, 1e-2 * error) << book;
  }
}

}  // namespace
}  // namespace bitloom

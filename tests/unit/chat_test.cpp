// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/chat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

class ChatTest : public testing::Test {
 protected:
  void open(const std::filesystem::path& path) {
    auto model = Model::open(path);
    ASSERT_TRUE(model) << model.error().message;
    auto variant = Variant::create(*model, m_cache);
    ASSERT_TRUE(variant) << variant.error().message;
    m_variant.emplace(std::move(*variant));
    auto tokenizer = Tokenizer::create((*model)->metadata());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    m_tokenizer.emplace(std::move(*tokenizer));
  }
  void openTiny() { open(test::writeTinyModel(m_dir / "tiny.gguf")); }

  test::TempDir m_dir;
  WeightCache m_cache{uint64_t{512} << 20};
  std::optional<Variant> m_variant;
  std::optional<Tokenizer> m_tokenizer;
  Workers m_workers{2};
  JobControl m_control;
  JobContext m_job{m_workers, m_control};
};

const ChatOptions kGreedy{.sampler = {.temperature = 0}, .maxTokens = 12};

TEST_F(ChatTest, StreamsEveryTokenOnceWithItsLikeliestRivals) {
  openTiny();
  std::vector<TokenId> streamed;
  std::string text;
  const std::vector<TokenId> prompt{10, 11, 12};
  const auto result = answer(
      *m_variant, *m_tokenizer, prompt, kGreedy,
      [&](const ChatToken& token) {
        streamed.push_back(token.id);
        text += token.text;
      },
      m_job);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->tokens.size(), streamed.size());
  ASSERT_FALSE(streamed.empty());
  EXPECT_EQ(result->promptTokens, 3u);
  EXPECT_GT(result->cacheBytes, 0u);
  EXPECT_TRUE(result->ended || streamed.size() == kGreedy.maxTokens);
  EXPECT_TRUE(result->text.starts_with(text));
  for (const ChatToken& token : result->tokens) {
    ASSERT_EQ(token.top.size(), 5u);
    EXPECT_EQ(token.top[0].id, token.id);  // greedy
    EXPECT_GE(token.top[0].probability, token.top[4].probability);
    EXPECT_EQ(token.kld, -1);
  }
}

TEST_F(ChatTest, SameSeedSameAnswer) {
  openTiny();
  const std::vector<TokenId> prompt{10, 11, 12};
  ChatOptions options{.sampler = {.temperature = 1, .seed = 7}, .maxTokens = 20};
  const auto ids = [&]() {
    const auto result = answer(*m_variant, *m_tokenizer, prompt, options, {}, m_job);
    EXPECT_TRUE(result);
    std::vector<TokenId> all;
    for (const ChatToken& token : result->tokens) all.push_back(token.id);
    return all;
  };
  const auto first = ids();
  EXPECT_EQ(ids(), first);
  options.sampler.seed = 8;
  EXPECT_NE(ids(), first);
}

TEST_F(ChatTest, StopsAtTheEndOfTheContext) {
  openTiny();
  ChatOptions options{.sampler = {.temperature = 1}, .maxTokens = 1000};
  const std::vector<TokenId> prompt(126, 10);
  const auto result = answer(*m_variant, *m_tokenizer, prompt, options, {}, m_job);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_LE(result->tokens.size(), 3u);
  const auto tooLong =
      answer(*m_variant, *m_tokenizer, std::vector<TokenId>(129, 10), options, {}, m_job);
  ASSERT_FALSE(tooLong);
  EXPECT_NE(tooLong.error().message.find("128"), std::string::npos);
}

TEST_F(ChatTest, VariantComparedWithItselfDivergesNowhere) {
  openTiny();
  const std::vector<TokenId> prompt{10, 11, 12};
  const std::vector<TokenId> continuation{20, 21, 22, 23};
  const auto result =
      compareForced(*m_variant, *m_variant, *m_tokenizer, prompt, continuation, m_job);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ((*result)[i].id, continuation[i]);
    EXPECT_EQ((*result)[i].kld, 0);
    EXPECT_EQ((*result)[i].top[0].id, (*result)[i].referenceTop[0].id);
  }
}

TEST_F(ChatTest, ForcedComparisonIsTheDivergenceOfBothSessions) {
  openTiny();
  Variant rough = m_variant->copy();
  const Codec* codec = findCodec("q4_0");
  ASSERT_NE(codec, nullptr);
  for (size_t i = 0; i < rough.model().tensors().size(); ++i) {
    if (rough.model().tensors()[i].dimensions == 2) rough.setTensor(i, codec);
  }
  const std::vector<TokenId> prompt{10, 11, 12};
  const std::vector<TokenId> continuation{20, 21, 22};
  const auto result = compareForced(*m_variant, rough, *m_tokenizer, prompt, continuation, m_job);
  ASSERT_TRUE(result) << result.error().message;
  for (size_t i = 0; i < continuation.size(); ++i) {
    std::vector<TokenId> seen = prompt;
    seen.insert(seen.end(), continuation.begin(), continuation.begin() + std::ptrdiff_t(i));
    std::vector<std::vector<float>> logits;
    for (const Variant* variant : std::initializer_list<const Variant*>{&*m_variant, &rough}) {
      auto session = Session::create(*variant, {.cache = KvFormat::F32});
      ASSERT_TRUE(session);
      auto last = session->eval(seen, m_job);
      ASSERT_TRUE(last);
      logits.push_back(*last);
    }
    double sums[2] = {0, 0};
    for (int side = 0; side < 2; ++side) {
      for (float v : logits[size_t(side)]) sums[side] += std::exp(double(v));
    }
    double kld = 0;
    for (size_t j = 0; j < logits[0].size(); ++j) {
      const double p = std::exp(double(logits[0][j])) / sums[0];
      kld += p * std::log(p / (std::exp(double(logits[1][j])) / sums[1]));
    }
    EXPECT_NEAR((*result)[i].kld, kld, 1e-9);
    EXPECT_GT(kld, 1e-6);
  }
}

TEST_F(ChatTest, NothingToCompareIsAnEmptyList) {
  openTiny();
  const std::vector<TokenId> prompt{10};
  const auto result = compareForced(*m_variant, *m_variant, *m_tokenizer, prompt, {}, m_job);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->empty());
  const std::vector<TokenId> one{11};
  EXPECT_FALSE(compareForced(*m_variant, *m_variant, *m_tokenizer, {}, one, m_job));
}

TEST_F(ChatTest, StoryModelAnswersWithTheReferenceText) {
  NEEDS_SHARED("models/bitloom-story-11m-f16.gguf");
  open(test::sharedPath("models/bitloom-story-11m-f16.gguf"));
  const auto expected = nlohmann::json::parse(
      test::readFile(test::sharedPath("golden/story/expected.json")))["greedy"];
  const auto prompt = expected["prompt_ids"].get<std::vector<TokenId>>();
  const auto result = answer(*m_variant, *m_tokenizer, prompt,
                             {.sampler = {.temperature = 0}, .maxTokens = 48}, {}, m_job);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->text, expected["continuation_text"].get<std::string>());
  EXPECT_GT(result->tokensPerSecond, 0);
}

}  // namespace
}  // namespace bitloom

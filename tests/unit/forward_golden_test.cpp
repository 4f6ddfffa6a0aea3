// SPDX-License-Identifier: GPL-3.0-or-later
// The forward pass on real models against logits computed with torch in f32.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/inference/session.h"
#include "core/statistics.h"
#include "tests/support/paths.h"

namespace bitloom {
namespace {

using Json = nlohmann::json;

struct Golden {
  std::string folder;
  std::string model;
  double logitTolerance;

  Json expected() const {
    return Json::parse(test::readFile(test::sharedPath(folder + "/expected.json")));
  }
};

const Golden kSmolLm{"golden/smollm2", "models/SmolLM2-135M-Instruct.Q4_1.gguf", 2e-3};
const Golden kStory{"golden/story", "models/bitloom-story-11m-f16.gguf", 1e-3};

TokenId likeliest(const float* logits, size_t count) {
  return static_cast<TokenId>(std::max_element(logits, logits + count) - logits);
}

class ForwardGolden : public testing::Test {
 protected:
  ForwardGolden() : m_cache(uint64_t{2} << 30), m_job(m_workers, m_control) {}

  Variant open(const std::string& model) {
    auto opened = Model::open(test::sharedPath(model));
    EXPECT_TRUE(opened) << opened.error().message;
    auto variant = Variant::create(*opened, m_cache);
    EXPECT_TRUE(variant) << variant.error().message;
    return std::move(*variant);
  }

  Matrix passageLogits(const Variant& variant, const std::vector<TokenId>& ids) {
    auto session =
        Session::create(variant, {.contextLength = uint32_t(ids.size()), .cache = KvFormat::F32});
    EXPECT_TRUE(session) << session.error().message;
    auto logits = session->evalAll(ids, m_job);
    EXPECT_TRUE(logits) << logits.error().message;
    return std::move(*logits);
  }

  void expectPassage(const Golden& golden) {
    const Json passage = golden.expected()["passage"];
    const auto ids = passage["token_ids"].get<std::vector<TokenId>>();
    const Variant variant = open(golden.model);
    const Matrix logits = passageLogits(variant, ids);
    const auto stored = test::readFloats(test::sharedPath(golden.folder + "/logits.f32"));
    const auto positions = passage["logit_positions"].get<std::vector<size_t>>();
    ASSERT_EQ(stored.size(), positions.size() * logits.cols);
    double worst = 0;
    for (size_t i = 0; i < positions.size(); ++i) {
      for (size_t j = 0; j < logits.cols; ++j) {
        const double expected = double(stored[i * logits.cols + j]);
        worst = std::max(worst, std::fabs(double(logits.row(positions[i])[j]) - expected));
      }
    }
    EXPECT_LT(worst, golden.logitTolerance);
    RecordProperty("worst_logit", std::to_string(worst));

    const auto nll = passage["nll"].get<std::vector<double>>();
    double sum = 0;
    for (size_t i = 0; i < nll.size(); ++i) {
      const double mine = negativeLogLikelihood({logits.row(i), logits.cols}, size_t(ids[i + 1]));
      EXPECT_NEAR(mine, nll[i], 1e-3) << "token " << i;
      sum += mine;
    }
    EXPECT_NEAR(sum / double(nll.size()), passage["mean_nll"].get<double>(), 1e-4);
  }

  std::vector<TokenId> greedy(const Variant& variant, const std::vector<TokenId>& prompt,
                              size_t count) {
    auto session = Session::create(variant);
    EXPECT_TRUE(session) << session.error().message;
    std::vector<TokenId> ids;
    auto logits = session->eval(prompt, m_job);
    while (logits && ids.size() < count) {
      ids.push_back(likeliest(logits->data(), logits->size()));
      logits = session->eval({&ids.back(), 1}, m_job);
    }
    EXPECT_TRUE(logits) << logits.error().message;
    return ids;
  }

  void expectGreedy(const Golden& golden) {
    const Json expected = golden.expected()["greedy"];
    const Variant variant = open(golden.model);
    const auto ids = greedy(variant, expected["prompt_ids"].get<std::vector<TokenId>>(), 48);
    EXPECT_EQ(ids, expected["continuation_ids"].get<std::vector<TokenId>>());
  }

  WeightCache m_cache;
  Workers m_workers{2};
  JobControl m_control;
  JobContext m_job;
};

TEST_F(ForwardGolden, SmolLmPassageHasTheReferenceLogits) {
  NEEDS_SHARED(kSmolLm.model);
  expectPassage(kSmolLm);
}

TEST_F(ForwardGolden, SmolLmGreedyAnswerHasTheReferenceTokens) {
  NEEDS_SHARED(kSmolLm.model);
  expectGreedy(kSmolLm);
}

TEST_F(ForwardGolden, SmolLmStreamHasTheReferenceNormsAfterEveryBlock) {
  NEEDS_SHARED(kSmolLm.model);
  const Json passage = kSmolLm.expected()["passage"];
  const auto ids = passage["token_ids"].get<std::vector<TokenId>>();
  const Variant variant = open(kSmolLm.model);
  Forward forward(variant);
  auto stream = forward.embed(ids, m_job);
  ASSERT_TRUE(stream) << stream.error().message;
  const Segment whole{.tokens = uint32_t(ids.size())};
  const int blocks = int(forward.graph().blocks);
  for (int block = 0; block <= blocks; ++block) {
    double squares = 0;
    const float* last = stream->row(stream->rows - 1);
    for (size_t i = 0; i < stream->cols; ++i) squares += double(last[i]) * double(last[i]);
    const double expected = passage["hidden_last_position"][size_t(block)]["l2"].get<double>();
    EXPECT_NEAR(std::sqrt(squares), expected, 1e-4 * expected) << "before block " << block;
    if (block == blocks) break;
    auto done = forward.blocks(block, block + 1, *stream, {&whole, 1}, m_job);
    ASSERT_TRUE(done) << done.error().message;
  }
}

TEST_F(ForwardGolden, StoryPassageHasTheReferenceLogits) {
  NEEDS_SHARED(kStory.model);
  expectPassage(kStory);
}

TEST_F(ForwardGolden, StoryGreedyAnswerHasTheReferenceTokens) {
  NEEDS_SHARED(kStory.model);
  expectGreedy(kStory);
}

TEST_F(ForwardGolden, Stories260KTellsOfLily) {
  NEEDS_SHARED("models/stories260K-f32.gguf");
  const Variant variant = open("models/stories260K-f32.gguf");
  const auto ids = greedy(variant, {1}, 60);
  const MetaArray* tokens = variant.model().metadata().arrayOf("tokenizer.ggml.tokens");
  ASSERT_NE(tokens, nullptr);
  std::string text;
  for (const TokenId id : ids) text += tokens->strings[size_t(id)];
  // A space is ▁ in this vocabulary.
  EXPECT_TRUE(
      text.starts_with("▁Once▁upon▁a▁time,▁there▁was▁a▁little▁girl▁named▁Lily.▁She▁loved▁"
                       "to▁play▁outside▁in▁the▁park."))
      << text;
}

}  // namespace
}  // namespace bitloom

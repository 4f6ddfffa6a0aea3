// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/scan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/builtin.h"
#include "core/trial_plans.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::take;
using test::TinyRun;

// Words of the tiny model's vocabulary, long enough for every probe.
std::string tinyText(const TinyRun& run, size_t tokens) {
  const Tokenizer tokenizer = run.tokenizer();
  std::string text;
  for (const TokenId token : run.randomTokens(4 * tokens, 5)) {
    text += tokenizer.decode(std::span(&token, 1));
  }
  return text;
}

class SketchScan : public testing::Test {
 protected:
  ScanRequest request(uint32_t trials) {
    return {.metric = findMetric("fisher_sketch"),
            .codecs = {findCodec("tq3_1s"), findCodec("q4_0"), findCodec("q8_0")},
            .textName = "tiny",
            .text = tinyText(m_run, 1024),
            .probe = {.sequences = 12, .tokens = 16, .firstScored = 4},
            .trials = trials};
  }
  Sensitivity run(uint32_t trials) {
    const Tokenizer tokenizer = m_run.tokenizer();
    return take(scan(m_run.reference(), &tokenizer, request(trials), m_store, {}, m_run.job()));
  }

  TinyRun m_run;
  test::TempDir m_folder;
  ExperimentStore m_store = take(ExperimentStore::open(m_folder / "s.sqlite"));
};

TEST_F(SketchScan, MeasuresPlansOnceAndPredictsWithAnIntervalFromThem) {
  const Sensitivity bare = run(0);
  EXPECT_TRUE(bare.plans.empty());
  Recipe recipe;
  recipe.rules.push_back({"*", "q4_0"});
  const Plan plan = take(resolve(recipe, *m_run.model()));
  const Prediction raw = predict(*m_run.model(), plan, bare);
  EXPECT_TRUE(std::isnan(raw.low));

  const Sensitivity tried = run(9);
  ASSERT_EQ(tried.plans.size(), 9u);
  EXPECT_EQ(tried.cells.size(), bare.cells.size());
  const Prediction corrected = predict(*m_run.model(), plan, tried);
  EXPECT_LT(corrected.low, corrected.value);
  EXPECT_GT(corrected.high, corrected.value);
  EXPECT_EQ(Predictor(*m_run.model(), tried).uncorrected(plan).value, raw.value);

  // A scan that goes on measures what is missing, and the same plans.
  const Sensitivity more = run(9);
  ASSERT_EQ(more.plans.size(), 9u);
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(more.plans[i].measured, tried.plans[i].measured);
}

TEST_F(SketchScan, AScanThatWasStoppedEndsInTheSameNumbers) {
  const Tokenizer tokenizer = m_run.tokenizer();
  size_t seen = 0;
  const auto stopped = scan(
      m_run.reference(), &tokenizer, request(0), m_store,
      [&](const Cell&) -> Result<void> {
        if (++seen == 7) m_run.control().cancel();
        return {};
      },
      m_run.job());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::Cancelled);
  TinyRun again;
  const Sensitivity whole =
      take(scan(again.reference(), &tokenizer, request(0), m_store, {}, again.job()));
  ExperimentStore fresh = take(ExperimentStore::open(m_folder / "fresh.sqlite"));
  const Sensitivity wanted =
      take(scan(again.reference(), &tokenizer, request(0), fresh, {}, again.job()));
  ASSERT_EQ(whole.cells.size(), wanted.cells.size());
  for (const Cell& cell : wanted.cells) {
    EXPECT_EQ(whole.find(cell.tensor, cell.codec)->samples, cell.samples);
  }
}

TEST(TrialPlans, RandomMixesDifferAndSolvedOnesSpreadOverSizes) {
  TinyRun run;
  const Codec* const codecs[] = {findCodec("q8_0"), findCodec("tq3_1s"), findCodec("q4_0")};
  const auto mixes = take(randomMixes(*run.model(), codecs, "nearest", 6, 1));
  ASSERT_EQ(mixes.size(), 6u);
  EXPECT_NE(mixes[0].hash, mixes[1].hash);
  EXPECT_EQ(take(randomMixes(*run.model(), codecs, "nearest", 6, 1))[5].hash, mixes[5].hash);
  Sensitivity cells;
  for (const Tensor& tensor : run.model()->tensors()) {
    if (!isQuantizable(tensor)) continue;
    for (const Codec* codec : codecs) {
      cells.cells.push_back({.tensor = tensor.name,
                             .codec = std::string(codec->name),
                             .metric = "kld",
                             .value = std::exp2(-codec->bits),
                             .samples = {}});
    }
  }
  const auto solved =
      take(solvedPlans(*run.model(), run.reference().graph(), cells, codecs, 4, 0.5, run.job()));
  ASSERT_EQ(solved.size(), 4u);
  for (size_t i = 1; i < 4; ++i) EXPECT_GT(solved[i].fileBytes, solved[i - 1].fileBytes);
}

}  // namespace
}  // namespace bitloom

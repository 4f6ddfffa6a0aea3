// SPDX-License-Identifier: GPL-3.0-or-later
// A scan's identity: cells measured with one method are never taken for another's.
#include "core/scan.h"

#include <gtest/gtest.h>

#include "core/allocator.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::take;
using test::TempDir;
using test::TinyRun;

CorpusPart words() {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "xq zj the ";
  return plainPart("words.txt", std::move(text));
}

class ScanMethod : public testing::Test {
 protected:
  ScanMethod()
      : store(take(ExperimentStore::open(folder / "store.sqlite"))),
        calibration(calibrated(3)),
        other(calibrated(2)) {}

  Calibration calibrated(uint32_t chunks) {
    const CorpusPart text = words();
    return take(calibrate(run.reference(), run.tokenizer(), {&text, 1},
                          {.chunkTokens = 32, .maxChunks = chunks, .moments = true}, run.job()));
  }

  ScanRequest request(const char* method, const Calibration* statistics) const {
    return {.metric = findMetric("weight_error"),
            .codecs = {findCodec("q4_0"), findCodec("q8_0")},
            .textName = {},
            .text = {},
            .probe = {},
            .method = findMethod(method),
            .calibration = statistics};
  }

  Result<Sensitivity> measure(const ScanRequest& wanted) {
    return scan(run.reference(), nullptr, wanted, store, {}, run.job());
  }

  TempDir folder;
  TinyRun run;
  ExperimentStore store;
  Calibration calibration;
  Calibration other;
};

TEST_F(ScanMethod, IsPartOfTheKeyWithWhatItWasCalibratedOn) {
  const auto key = [&](const ScanRequest& wanted) {
    const ScanKey made = take(scanKey(*run.model(), nullptr, wanted));
    return made.method + " " + made.textHash;
  };
  EXPECT_EQ(key(request("nearest", nullptr)), "nearest ");
  EXPECT_EQ(key(request("nearest", &calibration)), "nearest ");
  EXPECT_EQ(key(request("gptq", &calibration)).substr(0, 5), "gptq ");
  EXPECT_NE(key(request("gptq", &calibration)), key(request("gptq", &other)));
}

TEST_F(ScanMethod, CellsAreOfTheMethodAndSoIsASolvedPlan) {
  const auto nearest = measure(request("nearest", nullptr));
  const auto turned = measure(request("gptq", &calibration));
  ASSERT_TRUE(nearest && turned) << turned.error().message;
  EXPECT_EQ(nearest->method, "nearest");
  EXPECT_EQ(turned->method, "gptq");
  ASSERT_EQ(nearest->cells.size(), turned->cells.size());
  // Rounding in turn moves weights further than rounding to nearest, to lose less of the output.
  double plain = 0, moved = 0;
  for (const Cell& cell : nearest->cells) plain += cell.value;
  for (const Cell& cell : turned->cells) moved += cell.value;
  EXPECT_GT(moved, 1.001 * plain);

  ASSERT_TRUE(saveSensitivity(*turned, folder / "scan.json"));
  const auto loaded = loadSensitivity(folder / "scan.json");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->method, "gptq");
  const ScanKey key = take(scanKey(*run.model(), nullptr, request("gptq", &calibration)));
  const auto found = store.findScan(key);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ(take(store.cells(**found)).method, "gptq");

  AllocationRequest budget{.codecs = {findCodec("q4_0"), findCodec("q8_0")}};
  const SizeRange range = take(reachableSizes(*run.model(), run.reference().graph(), budget));
  budget.fileBytes = (range.floor + range.ceiling) / 2;
  const Solution solution =
      take(solve(*run.model(), run.reference().graph(), *loaded, budget, run.job()));
  ASSERT_FALSE(solution.recipe.rules.empty());
  for (const Rule& rule : solution.recipe.rules) EXPECT_EQ(rule.method, "gptq") << rule.pattern;
}

TEST_F(ScanMethod, OneThatNeedsACalibrationSaysSo) {
  const auto refused = measure(request("gptq", nullptr));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "A scan by method gptq needs a calibration, and none was given.");
}

}  // namespace
}  // namespace bitloom

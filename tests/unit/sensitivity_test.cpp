// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/paths.h"

namespace bitloom {
namespace {

using test::TempDir;

Sensitivity sample() {
  Sensitivity scan;
  scan.metric = "kld";
  scan.fingerprint = "ab12";
  scan.text = "Grimm – Märchen.txt";
  scan.textHash = "00ff";
  scan.tokens = 512;
  scan.cells.push_back({"blk.0.ffn_up.weight", "tq3_1s", "kld", 0.1234567890123456789, 1e-3, 7});
  scan.cells.push_back({"blk.1.ffn_up.weight", "q4_0", "kld", 0, std::nan(""), uint64_t{1} << 60});
  scan.cells.back().samples = {0.1f, -3e-9f};
  scan.plans = {{0.3, 0.1234567890123456789, 12.25}};
  return scan;
}

TEST(Sensitivity, SavedScanIsReadBackToTheLastBit) {
  const TempDir folder;
  const Sensitivity saved = sample();
  ASSERT_TRUE(saveSensitivity(saved, folder / "scan.json"));
  const auto loaded = loadSensitivity(folder / "scan.json");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->metric, saved.metric);
  EXPECT_EQ(loaded->fingerprint, saved.fingerprint);
  EXPECT_EQ(loaded->text, saved.text);
  EXPECT_EQ(loaded->textHash, saved.textHash);
  EXPECT_EQ(loaded->tokens, saved.tokens);
  ASSERT_EQ(loaded->cells.size(), 2U);
  EXPECT_EQ(loaded->cells[0].value, saved.cells[0].value);
  EXPECT_EQ(loaded->cells[0].error, saved.cells[0].error);
  EXPECT_EQ(loaded->cells[0].bytes, 7U);
  EXPECT_EQ(loaded->cells[1].tensor, "blk.1.ffn_up.weight");
  EXPECT_TRUE(std::isnan(loaded->cells[1].error));
  EXPECT_EQ(loaded->cells[1].bytes, uint64_t{1} << 60);
  EXPECT_TRUE(loaded->cells[0].samples.empty());
  EXPECT_EQ(loaded->cells[1].samples, saved.cells[1].samples);
  ASSERT_EQ(loaded->plans.size(), 1U);
  EXPECT_EQ(loaded->plans[0].predicted, 0.3);
  EXPECT_EQ(loaded->plans[0].measured, saved.plans[0].measured);
  EXPECT_EQ(loaded->plans[0].spread, saved.plans[0].spread);
}

TEST(Sensitivity, JsonHasTheKeysThatOthersRead) {
  const auto json = nlohmann::json::parse(toJson(sample()));
  const auto& cell = json.at("cells").at(0);
  for (const char* key : {"tensor", "codec", "metric", "value", "error", "bytes"}) {
    EXPECT_TRUE(cell.contains(key)) << key;
  }
  EXPECT_TRUE(json.at("cells").at(1).at("error").is_null());
}

TEST(Sensitivity, FindsACellByTensorAndCodec) {
  const Sensitivity scan = sample();
  EXPECT_EQ(scan.find("blk.1.ffn_up.weight", "q4_0"), &scan.cells[1]);
  EXPECT_EQ(scan.find("blk.1.ffn_up.weight", "tq3_1s"), nullptr);
}

TEST(Sensitivity, ErrorsNameFileAndCause) {
  const TempDir folder;
  const auto absent = loadSensitivity(folder / "none.json");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::NotFound);
  EXPECT_NE(absent.error().message.find("none.json"), std::string::npos);

  test::writeFile(folder / "other.json", R"({"rules": []})");
  const auto other = loadSensitivity(folder / "other.json");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::Unsupported);

  std::string text = toJson(sample());
  text.replace(text.find("\"bytes\""), 7, "\"bites\"");
  test::writeFile(folder / "key.json", text);
  const auto key = loadSensitivity(folder / "key.json");
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::Corrupt);
  EXPECT_NE(key.error().message.find("key.json"), std::string::npos);
  EXPECT_NE(key.error().message.find("cell 0"), std::string::npos) << key.error().message;
  EXPECT_NE(key.error().message.find("bytes"), std::string::npos);
}

TEST(Sensitivity, TruncatedFileIsAnErrorAtEveryByte) {
  const TempDir folder;
  const std::string text = toJson(sample());
  for (size_t length = 0; length < text.size(); length += 7) {
    test::writeFile(folder / "part.json", text.substr(0, length));
    EXPECT_FALSE(loadSensitivity(folder / "part.json")) << length;
  }
}

TEST(Sensitivity, FailedSaveLeavesNothingBehind) {
  const TempDir folder;
  std::filesystem::create_directory(folder / "scan.json");  // cannot be replaced by a file
  EXPECT_FALSE(saveSensitivity(sample(), folder / "scan.json"));
  size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    entries += entry.exists() ? 1 : 0;
  }
  EXPECT_EQ(entries, 1U);
}

}  // namespace
}  // namespace bitloom

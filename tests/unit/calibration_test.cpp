// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/inference/forward.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::take;
using test::TempDir;
using test::TinyRun;

std::string plainText() {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "xq zj the ";
  return text;
}

CorpusPart part(const std::string& text, const std::string& file = "") {
  return plainPart(file, text);
}

Result<Calibration> calibrateOn(TinyRun& run, const CorpusPart& text,
                                const CalibrateOptions& options) {
  return calibrate(run.reference(), run.tokenizer(), {&text, 1}, options, run.job());
}

bool sameMoments(const Moments& a, const Moments& b) {
  return a.columns == b.columns && std::ranges::equal(a.used, b.used) &&
         std::ranges::equal(a.held, b.held) && a.usedTokens == b.usedTokens &&
         a.heldTokens == b.heldTokens;
}

Calibration sample() {
  Calibration calibration;
  calibration.tensors["blk.0.ffn_up.weight"] = {
      {0.5F, 1e-20F, 3e8F}, 96, {6, 1e-10F, 1e5F}, {0.25F, 1e-10F, 2e4F}, nullptr};
  calibration.tensors["blk.0.ffn_down.weight"] = {
      std::vector<float>(17, 2.0F), 96, {}, {}, nullptr};
  calibration.tensors["output.weight"] = {{0, 0}, 0, {}, {}, nullptr};
  calibration.sources = {{"fairy tales", "Märchen.txt", std::string(64, 'a'), 3}};
  calibration.shingles = {8, 1ULL << 60};
  calibration.chunks = 3;
  calibration.chunkTokens = 32;
  calibration.hash = hashOf(calibration);
  return calibration;
}

TEST(Calibration, ImportanceIsTheMeanOfSquaresAndOnesWithoutCounts) {
  const Calibration calibration = sample();
  const auto importance = calibration.find("blk.0.ffn_up.weight")->importance();
  EXPECT_FLOAT_EQ(importance[0], 0.5F / 96);
  EXPECT_FLOAT_EQ(importance[2], 3e8F / 96);
  EXPECT_EQ(calibration.find("output.weight")->importance(), (std::vector<float>{1, 1}));
  EXPECT_EQ(calibration.find("blk.7.ffn_up.weight"), nullptr);
}

// Sums over all tokens of what every linear op reads, chunk by chunk, without batching.
TEST(Calibration, SumsEqualThePlainOnesOfEveryLinear) {
  TinyRun run;
  const Tokenizer tokenizer = run.tokenizer();
  const std::string text = plainText();
  const auto result =
      calibrateOn(run, part(text, "words.txt"), {.chunkTokens = 32, .maxChunks = 3});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->chunks, 3U);
  EXPECT_EQ(result->chunkTokens, 32U);
  ASSERT_EQ(result->sources.size(), 1U);
  EXPECT_EQ(result->sources[0].file, "words.txt");
  EXPECT_EQ(result->sources[0].stratum, "text");
  EXPECT_EQ(result->sources[0].chunks, 3U);
  EXPECT_EQ(result->sources[0].hash, hashOf(part(text)));
  EXPECT_EQ(result->tensors.size(), 2U * 7 + 1);
  EXPECT_EQ(run.control().progress().done, 96U * 3);  // two blocks and the head
  EXPECT_EQ(run.control().progress().total, 96U * 3);

  std::map<std::string, std::vector<double>> wanted, sizes, largest;
  const std::vector<TokenId> all = tokenizer.encode(text);
  Forward forward(run.reference());
  const OpTap tap = [&](const Op& op, const OpInputs& inputs) {
    if (op.kind != OpKind::Linear) return;
    const Matrix& input = *inputs.input;
    const std::string& name = run.model()->tensors()[size_t(op.weight)].name;
    auto& sums = wanted[name];
    auto& ofSizes = sizes[name];
    auto& most = largest[name];
    for (auto* values : {&sums, &ofSizes, &most}) values->resize(input.cols);
    for (size_t i = 0; i < input.values.size(); ++i) {
      const double size = std::fabs(double(input.values[i]));
      sums[i % input.cols] += size * size;
      ofSizes[i % input.cols] += size;
      most[i % input.cols] = std::max(most[i % input.cols], size);
    }
  };
  for (size_t first = 0; first < 96; first += 32) {
    Matrix stream = take(forward.embed(std::span(all).subspan(first, 32), run.job()));
    const std::vector<Segment> segments = {{.tokens = 32}};
    ASSERT_TRUE(forward.blocks(0, 2, stream, segments, run.job(), tap));
    std::vector<uint32_t> rows(32);
    for (uint32_t i = 0; i < 32; ++i) rows[i] = i;
    ASSERT_TRUE(forward.head(stream, rows, run.job(), tap));
  }
  for (const auto& [name, sums] : wanted) {
    const TensorStatistics* statistics = result->find(name);
    ASSERT_NE(statistics, nullptr) << name;
    EXPECT_EQ(statistics->tokens, 96U);
    ASSERT_EQ(statistics->sumSquares.size(), sums.size());
    for (size_t j = 0; j < sums.size(); ++j) {
      ASSERT_NEAR(double(statistics->sumSquares[j]), sums[j], 1e-6 * sums[j]) << name;
      ASSERT_NEAR(double(statistics->sumSizes[j]), sizes[name][j], 1e-6 * sizes[name][j]) << name;
      ASSERT_EQ(double(statistics->largest[j]), largest[name][j]) << name;
    }
  }
}

// Three chunks: two are used, the last is held out.
TEST(Calibration, MomentsAreTheProductsOfColumnsAndSharedByOpsOfOneInput) {
  TinyRun run;
  const auto result =
      calibrateOn(run, part(plainText()), {.chunkTokens = 32, .maxChunks = 3, .moments = true});
  ASSERT_TRUE(result) << result.error().message;
  for (const auto& [name, statistics] : result->tensors) {
    ASSERT_NE(statistics.moments, nullptr) << name;
    const Moments& moments = *statistics.moments;
    const size_t n = moments.columns;
    ASSERT_EQ(n, statistics.sumSquares.size());
    ASSERT_EQ(moments.used.size(), n * n);
    ASSERT_EQ(moments.held.size(), n * n);
    double largest = 0;
    for (const float sum : statistics.sumSquares) largest = std::max(largest, double(sum));
    for (size_t i = 0; i < n; ++i) {
      const double sum =
          64 * double(moments.used[i * n + i]) + 32 * double(moments.held[i * n + i]);
      ASSERT_NEAR(sum, double(statistics.sumSquares[i]), 1e-5 * largest) << name << " " << i;
      for (size_t j = 0; j < i; ++j) {
        ASSERT_NEAR(moments.used[i * n + j], moments.used[j * n + i], 1e-6 * largest);
        ASSERT_LE(std::pow(double(moments.used[i * n + j]), 2),
                  1.0001 * double(moments.used[i * n + i]) * double(moments.used[j * n + j]));
      }
    }
  }
  const auto momentsOf = [&](const char* name) { return result->find(name)->moments; };
  EXPECT_EQ(momentsOf("blk.0.attn_q.weight"), momentsOf("blk.0.attn_v.weight"));
  EXPECT_EQ(momentsOf("blk.1.ffn_gate.weight"), momentsOf("blk.1.ffn_up.weight"));
  EXPECT_NE(momentsOf("blk.0.ffn_gate.weight"), momentsOf("blk.1.ffn_gate.weight"));
  EXPECT_NE(momentsOf("blk.0.attn_q.weight"), momentsOf("blk.0.attn_output.weight"));
}

TEST(Calibration, MomentsAreReadBackAndStillShared) {
  const TempDir folder;
  TinyRun run;
  const auto saved =
      calibrateOn(run, part(plainText()), {.chunkTokens = 32, .maxChunks = 3, .moments = true});
  ASSERT_TRUE(saved);
  ASSERT_TRUE(saveCalibration(*saved, folder / "stats.gguf"));
  const auto loaded = loadCalibration(folder / "stats.gguf");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->hash, saved->hash);
  for (const auto& [name, statistics] : saved->tensors) {
    EXPECT_TRUE(sameMoments(*loaded->find(name)->moments, *statistics.moments)) << name;
  }
  EXPECT_EQ(loaded->find("blk.0.attn_q.weight")->moments,
            loaded->find("blk.0.attn_k.weight")->moments);
}

TEST(Calibration, MomentsNeedAChunkToJudgeBy) {
  TinyRun run;
  const auto result = calibrateOn(run, part(plainText(), "x.txt"),
                                  {.chunkTokens = 32, .maxChunks = 1, .moments = true});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message,
            "x.txt: moments need two chunks of 32 tokens, one to judge by.");
}

TEST(Calibration, SameNumbersAtAnyThreadCount) {
  std::vector<std::string> hashes;
  for (int threads : {1, 3}) {
    TinyRun run(test::TinyModelOptions{}, threads);
    hashes.push_back(take(calibrateOn(run, part(plainText()),
                                      {.chunkTokens = 32, .maxChunks = 2, .moments = true}))
                         .hash);
  }
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_EQ(hashes[0].size(), 64U);
}

TEST(Calibration, ShortTextAndCancelAreReported) {
  TinyRun run;
  const auto refused =
      calibrateOn(run, part("xq", "short.txt"), {.chunkTokens = 32, .maxChunks = 3});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "short.txt: has 2 tokens, and one chunk needs 32.");
  run.control().cancel();
  const auto cancelled = calibrateOn(run, part(plainText()), {.chunkTokens = 32, .maxChunks = 3});
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::Cancelled);
}

TEST(Calibration, SavedFileIsReadBackToTheLastBit) {
  const TempDir folder;
  const Calibration saved = sample();
  ASSERT_TRUE(saveCalibration(saved, folder / "stats.gguf"));
  const auto loaded = loadCalibration(folder / "stats.gguf");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->hash, saved.hash);
  ASSERT_EQ(loaded->sources.size(), 1U);
  EXPECT_EQ(loaded->sources[0].file, "Märchen.txt");
  EXPECT_EQ(loaded->sources[0].stratum, "fairy tales");
  EXPECT_EQ(loaded->sources[0].hash, std::string(64, 'a'));
  EXPECT_EQ(loaded->sources[0].chunks, 3U);
  EXPECT_EQ(loaded->shingles, saved.shingles);
  EXPECT_EQ(loaded->chunks, 3U);
  EXPECT_EQ(loaded->chunkTokens, 32U);
  ASSERT_EQ(loaded->tensors.size(), 3U);
  for (const auto& [name, statistics] : saved.tensors) {
    EXPECT_EQ(loaded->tensors.at(name).sumSquares, statistics.sumSquares);
    EXPECT_EQ(loaded->tensors.at(name).sumSizes, statistics.sumSizes);
    EXPECT_EQ(loaded->tensors.at(name).largest, statistics.largest);
    EXPECT_EQ(loaded->tensors.at(name).tokens, statistics.tokens);
  }
}

TEST(Calibration, HashFollowsTheNumbersAlone) {
  Calibration calibration = sample();
  calibration.sources[0].file = "other";
  EXPECT_EQ(hashOf(calibration), sample().hash);
  calibration.tensors["blk.0.ffn_up.weight"].sumSquares[1] *= 2;
  EXPECT_NE(hashOf(calibration), sample().hash);
}

TEST(Calibration, FileIsAnImatrixToThePythonReader) {
  if (std::system("python3 -c 'import gguf' > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "needs the Python package gguf";
  }
  const TempDir folder;
  ASSERT_TRUE(saveCalibration(sample(), folder / "stats.gguf"));
  test::writeFile(folder / "read.py", R"(
import sys, gguf
reader = gguf.GGUFReader(sys.argv[1])
field = lambda key: reader.get_field(key).contents()
assert field('general.type') == 'imatrix'
assert field('imatrix.datasets') == ['Märchen.txt']
assert field('imatrix.chunk_count') == 3 and field('imatrix.chunk_size') == 32
tensors = {t.name: t for t in reader.tensors}
assert len(tensors) == 8
sums = tensors['blk.0.ffn_up.weight.in_sum2']
counts = tensors['blk.0.ffn_up.weight.counts']
assert list(sums.shape) == [3, 1] and list(counts.shape) == [1, 1]
assert abs(sums.data.ravel()[0] - 0.5) < 1e-9 and sums.data.ravel()[2] == 3e8
assert counts.data.ravel()[0] == 96
)");
  const std::string command = "PYTHONUTF8=1 python3 " + (folder / "read.py").string() + " " +
                              (folder / "stats.gguf").string();
  EXPECT_EQ(std::system(command.c_str()), 0);
}

template <typename T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// One entry of llama.cpp's older format: mean of squares × calls.
std::string olderFile() {
  std::string bytes;
  put<int32_t>(bytes, 1);
  const std::string name = "blk.0.ffn_up.weight";
  put(bytes, int32_t(name.size()));
  bytes += name;
  put<int32_t>(bytes, 4);
  put<int32_t>(bytes, 2);
  put<float>(bytes, 8);
  put<float>(bytes, 20);
  put<int32_t>(bytes, 9);
  put<int32_t>(bytes, 5);
  return bytes + "a.txt";
}

TEST(Calibration, OlderFormatGivesTheSameImportance) {
  const TempDir folder;
  test::writeFile(folder / "old.dat", olderFile());
  const auto loaded = loadCalibration(folder / "old.dat");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->find("blk.0.ffn_up.weight")->importance(), (std::vector<float>{2, 5}));
  ASSERT_EQ(loaded->sources.size(), 1U);
  EXPECT_EQ(loaded->sources[0].file, "a.txt");
  EXPECT_EQ(loaded->chunks, 9U);
}

TEST(Calibration, OlderFormatIsWrittenAndReadBack) {
  const TempDir folder;
  const Calibration saved = sample();
  ASSERT_TRUE(saveCalibration(saved, folder / "old.dat"));
  const auto loaded = loadCalibration(folder / "old.dat");
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->tensors.size(), 3U);
  for (const auto& [name, statistics] : saved.tensors) {
    const std::vector<float> wanted = statistics.importance();
    const std::vector<float> got = loaded->find(name)->importance();
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_FLOAT_EQ(got[i], wanted[i]) << name;
  }
  EXPECT_EQ(loaded->chunks, 3U);
  EXPECT_EQ(loaded->sources[0].file, "Märchen.txt");
  const std::string bytes = test::readFile(folder / "old.dat");
  int32_t entries = 0;
  std::memcpy(&entries, bytes.data(), sizeof entries);
  EXPECT_EQ(entries, 3);
}

// Into the file block by block, or all in memory and then saved: the same bytes.
TEST(Calibration, AFileGrowsToTheSameBytesAsAtOnce) {
  const TempDir folder;
  for (const bool moments : {false, true}) {
    TinyRun run;
    const CorpusPart text = part(plainText(), "words.txt");
    const CalibrateOptions options{.chunkTokens = 32, .maxChunks = 3, .moments = moments};
    const auto whole = calibrateOn(run, text, options);
    ASSERT_TRUE(whole);
    const auto grown = calibrateInto(folder / "grown.gguf", run.reference(), run.tokenizer(),
                                     {&text, 1}, options, run.job());
    ASSERT_TRUE(grown) << grown.error().message;
    EXPECT_EQ(grown->hash, whole->hash);
    EXPECT_EQ(grown->hasMoments(), moments);
    for (const auto& [name, statistics] : whole->tensors) {
      EXPECT_EQ(grown->find(name)->sumSquares, statistics.sumSquares) << name;
      if (moments) {
        EXPECT_TRUE(sameMoments(*grown->find(name)->moments, *statistics.moments)) << name;
      }
    }
  }
}

TEST(Calibration, ACancelledFileIsNotThere) {
  const TempDir folder;
  TinyRun run;
  run.control().cancel();
  const CorpusPart text = part(plainText());
  const auto made = calibrateInto(folder / "stats.gguf", run.reference(), run.tokenizer(),
                                  {&text, 1}, {.chunkTokens = 32, .moments = true}, run.job());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::Cancelled);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// Two texts in turn: 3 chunks of five are of the first, 2 of the second.
TEST(Calibration, PartsTakeTurnsAndEachIsHeldOutAPart) {
  TinyRun run;
  const CorpusPart corpus[] = {{"prose", "a.txt", {{plainText()}}},
                               {"code", "b.txt", {{"zj zj xq "}, {plainText()}}}};
  const auto made = calibrate(run.reference(), run.tokenizer(), corpus,
                              {.chunkTokens = 32, .maxChunks = 5, .moments = true}, run.job());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->sources.size(), 2U);
  EXPECT_EQ(made->sources[0].chunks, 3U);
  EXPECT_EQ(made->sources[1].chunks, 2U);
  EXPECT_EQ(made->sources[1].stratum, "code");
  const auto& moments = made->find("output.weight")->moments;
  EXPECT_EQ(moments->usedTokens, 3U * 32);
  EXPECT_EQ(moments->heldTokens, 2U * 32);  // the last of each
}

TEST(Calibration, MergedPartsAreAsOneText) {
  const TempDir folder;
  TinyRun run;
  std::vector<Calibration> parts;
  std::vector<std::string> texts = {plainText(), "zj xq xq " + plainText()};
  for (size_t i = 0; i < 2; ++i) {
    parts.push_back(take(calibrateOn(run, part(texts[i], i ? "b.txt" : "a.txt"),
                                     {.chunkTokens = 32, .maxChunks = 3, .moments = true})));
  }
  ASSERT_TRUE(mergeCalibrations(parts, folder / "sum.gguf", run.job()));
  const auto sum = loadCalibration(folder / "sum.gguf");
  ASSERT_TRUE(sum) << sum.error().message;
  EXPECT_EQ(sum->chunks, 6U);
  ASSERT_EQ(sum->sources.size(), 2U);
  EXPECT_EQ(sum->sources[1].file, "b.txt");
  EXPECT_TRUE(sum->hasMoments());
  EXPECT_EQ(sum->find("blk.0.attn_q.weight")->moments, sum->find("blk.0.attn_k.weight")->moments);
  for (const auto& [name, statistics] : sum->tensors) {
    const TensorStatistics &a = *parts[0].find(name), &b = *parts[1].find(name);
    EXPECT_EQ(statistics.tokens, 192U);
    EXPECT_EQ(statistics.moments->usedTokens, 128U);
    EXPECT_EQ(statistics.moments->heldTokens, 64U);
    for (size_t i = 0; i < statistics.sumSquares.size(); ++i) {
      ASSERT_EQ(statistics.sumSquares[i], a.sumSquares[i] + b.sumSquares[i]) << name;
      ASSERT_EQ(statistics.sumSizes[i], a.sumSizes[i] + b.sumSizes[i]) << name;
      ASSERT_EQ(statistics.largest[i], std::max(a.largest[i], b.largest[i])) << name;
    }
    for (size_t i = 0; i < statistics.moments->used.size(); ++i) {
      ASSERT_FLOAT_EQ(statistics.moments->used[i], (a.moments->used[i] + b.moments->used[i]) / 2);
    }
  }
  EXPECT_EQ(overlapOf(parts[0].shingles, sum->shingles), 1);
}

TEST(Calibration, WhatDoesNotFitTogetherIsNotMerged) {
  const TempDir folder;
  TinyRun run;
  std::vector<Calibration> parts = {sample(), sample()};
  parts[1].tensors["blk.0.ffn_up.weight"].sumSquares.resize(2);
  const auto refused = mergeCalibrations(parts, folder / "sum.gguf", run.job());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "blk.0.ffn_up.weight: one calibration has 3 columns and another 2; they are not of one "
            "model.");
  // An imatrix of others knows squares alone: so does the sum.
  parts[1] = sample();
  parts[1].tensors["blk.0.ffn_up.weight"].sumSizes.clear();
  ASSERT_TRUE(mergeCalibrations(parts, folder / "sum.gguf", run.job()));
  const auto sum = loadCalibration(folder / "sum.gguf");
  ASSERT_TRUE(sum);
  EXPECT_TRUE(sum->find("blk.0.ffn_up.weight")->sumSizes.empty());
  EXPECT_EQ(sum->find("blk.0.ffn_up.weight")->sumSquares[0], 1);
  EXPECT_EQ(sum->find("blk.0.ffn_up.weight")->largest[0], 0.25F);
}

TEST(Calibration, DamagedFilesAreErrorsThatNameThem) {
  const TempDir folder;
  const auto refused = [&](const std::string& bytes) {
    test::writeFile(folder / "bad.bin", bytes);
    const auto loaded = loadCalibration(folder / "bad.bin");
    if (loaded) return std::string();
    EXPECT_NE(loaded.error().message.find("bad.bin"), std::string::npos);
    return loaded.error().message;
  };
  const std::string old = olderFile();
  for (size_t length = 0; length + 13 < old.size(); ++length) {
    EXPECT_NE(refused(old.substr(0, length)), "") << length;
  }
  ASSERT_TRUE(saveCalibration(sample(), folder / "good.gguf"));
  const std::string good = test::readFile(folder / "good.gguf");
  for (size_t length = 0; length < good.size() - 32; length += 5) {
    EXPECT_NE(refused(good.substr(0, length)), "") << length;
  }
  std::string other = good;
  other.replace(other.find("imatrix", 40), 7, "imatrox");
  EXPECT_NE(refused(other).find("general.type is \"imatrox\""), std::string::npos);
  other = good;
  other.replace(other.find("ffn_up.weight.counts"), 20, "ffn_up.weight.c0unts");
  EXPECT_NE(refused(other).find("blk.0.ffn_up.weight: has .in_sum2 but no .counts"),
            std::string::npos);
  // The first of the sums of ffn_up.
  other = good;
  const float half = 0.5F;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(other.data() + other.rfind(std::string(reinterpret_cast<const char*>(&half), 4)),
              &nan, 4);
  EXPECT_NE(refused(other).find("which no sum of squares or sizes can be"), std::string::npos);
}

}  // namespace
}  // namespace bitloom

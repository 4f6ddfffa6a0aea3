// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of every method, and what nearest and imatrix must give.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/calibration.h"
#include "core/method.h"
#include "tests/support/method_source.h"

namespace bitloom {
namespace {

using test::Source;
using test::TestJob;
using test::unevenStatistics;

double weightedError(const Source& source, const Encoded& encoded,
                     const std::vector<float>& weights) {
  std::vector<float> decoded(source.values.size());
  decodeRows(encoded, 0, source.tensor.rows(), decoded.data());
  double error = 0;
  for (size_t i = 0; i < decoded.size(); ++i) {
    const double difference = double(decoded[i]) - double(source.values[i]);
    error += double(weights[i % weights.size()]) * difference * difference;
  }
  return error;
}

TEST(Methods, GiveTheSameBytesAtAnyThreadCount) {
  const Source source(300, 128);
  const TensorStatistics statistics = unevenStatistics(128);
  for (const Method* method : methods()) {
    for (const char* codec : {"q4_0", "tq3_1s"}) {
      const QuantizeTask task{source.tensor, *findCodec(codec), &statistics, {}};
      TestJob one(1);
      const auto expected = method->quantize(task, one.job);
      ASSERT_TRUE(expected) << expected.error().message;
      for (const int threads : {2, 7}) {
        TestJob many(threads);
        const auto got = method->quantize(task, many.job);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->bytes, expected->bytes) << method->name << " " << codec;
      }
    }
  }
}

TEST(Methods, NearestIsTheCodecRowByRow) {
  const Source source(37, 96);
  for (const Codec* codec : codecs()) {
    if (codec->rowBytes(96) == 0) continue;
    TestJob run;
    const auto encoded =
        findMethod("nearest")->quantize({source.tensor, *codec, nullptr, {}}, run.job);
    ASSERT_TRUE(encoded) << encoded.error().message;
    ASSERT_EQ(encoded->bytes.size(), 37 * codec->rowBytes(96));
    EXPECT_EQ(encoded->codec, codec);
    std::vector<std::byte> row(codec->rowBytes(96));
    for (size_t r = 0; r < 37; ++r) {
      codec->encode(std::span(source.values).subspan(r * 96, 96), {}, row);
      ASSERT_TRUE(
          std::equal(row.begin(), row.end(), encoded->bytes.begin() + ptrdiff_t(r * row.size())))
          << codec->name << " row " << r;
    }
  }
}

TEST(Methods, ImatrixLowersTheWeightedErrorWhereTheCodecSearches) {
  const Source source(64, 128);
  const TensorStatistics statistics = unevenStatistics(128);
  const std::vector<float> importance = statistics.importance();
  int better = 0;
  for (const Codec* codec : codecs()) {
    if (codec->rowBytes(128) == 0) continue;
    TestJob run;
    const auto plain =
        findMethod("nearest")->quantize({source.tensor, *codec, &statistics, {}}, run.job);
    const auto weighted =
        findMethod("imatrix")->quantize({source.tensor, *codec, &statistics, {}}, run.job);
    ASSERT_TRUE(plain && weighted);
    const double before = weightedError(source, *plain, importance);
    const double after = weightedError(source, *weighted, importance);
    EXPECT_LE(after, before * 1.001) << codec->name;
    better += after < before * 0.99;
  }
  EXPECT_GE(better, 1);
}

TEST(Methods, ImatrixNeedsStatisticsButForTheEmbedding) {
  TestJob run;
  const Source source(4, 64);
  const Method& imatrix = *findMethod("imatrix");
  EXPECT_TRUE(imatrix.needsCalibration);
  const auto missing = imatrix.quantize({source.tensor, *findCodec("q4_0"), nullptr, {}}, run.job);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(missing.error().message,
            "blk.0.ffn_up.weight: method imatrix needs calibration statistics for this tensor, and "
            "the calibration holds none.");
  const TensorStatistics wrong = unevenStatistics(32);
  const auto shape = imatrix.quantize({source.tensor, *findCodec("q4_0"), &wrong, {}}, run.job);
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().message,
            "blk.0.ffn_up.weight: the calibration has 32 columns, but the tensor's rows have 64.");
  const Source embedding(4, 64, "token_embd.weight");
  const auto ones = imatrix.quantize({embedding.tensor, *findCodec("q4_0"), nullptr, {}}, run.job);
  const auto plain =
      findMethod("nearest")->quantize({embedding.tensor, *findCodec("q4_0"), nullptr, {}}, run.job);
  ASSERT_TRUE(ones && plain);
  EXPECT_EQ(ones->bytes, plain->bytes);
}

TEST(Methods, NameTheFirstValueThatIsNotFinite) {
  const TensorStatistics statistics = unevenStatistics(64);
  for (const Method* method : methods()) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Source source(2000, 64);
      source.values[1234 * 64 + 5] = bad;
      source.values[1999 * 64] = bad;
      source.values[1234 * 64 + 9] = bad;
      TestJob run(7);
      const auto result =
          method->quantize({source.tensor, *findCodec("q4_0"), &statistics, {}}, run.job);
      ASSERT_FALSE(result) << method->name;
      EXPECT_EQ(result.error().code, ErrorCode::Corrupt);
      EXPECT_EQ(result.error().message,
                "blk.0.ffn_up.weight: row 1234, column 5 holds a NaN or an infinity, so the tensor "
                "is damaged.");
    }
  }
}

TEST(Methods, StopWhenCancelled) {
  const Source source(64, 128);
  const TensorStatistics statistics = unevenStatistics(128);
  for (const Method* method : methods()) {
    TestJob run;
    run.control.cancel();
    const auto result =
        method->quantize({source.tensor, *findCodec("q4_0"), &statistics, {}}, run.job);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Cancelled);
  }
}

}  // namespace
}  // namespace bitloom

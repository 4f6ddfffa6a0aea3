// SPDX-License-Identifier: GPL-3.0-or-later
// Every codec that the reference data knows, against bytes of the format's reference encoder and
// the floats they decode to (../shared/golden/codecs, whose README says how it was made).
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "core/codec.h"
#include "tests/support/paths.h"

namespace bitloom {
namespace {

using test::readFile;
using test::readFloats;
using test::sharedPath;

constexpr size_t kRows = 8;
constexpr size_t kColumns = 512;
const char* const kIndex = "golden/codecs/index.json";
const char* const kInputs[] = {"gauss", "heavy", "edge"};

// Encoders without a free choice: the same bytes as the reference.
const std::set<std::string> kSameBytes = {"f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"};

std::filesystem::path golden(const std::string& name) {
  return sharedPath("golden/codecs/" + name);
}

// The reference's record of a codec; null when it knows none of that name.
nlohmann::json findType(const std::string& name) {
  const nlohmann::json index = nlohmann::json::parse(readFile(golden("index.json")));
  for (const nlohmann::json& type : index["types"]) {
    if (type["name"] == name) return type;
  }
  return nullptr;
}

std::string hexHash(std::vector<float> values) {
  for (float& value : values) {
    const uint32_t quiet = 0x7fc00000u;
    if (value == 0) value = 0;
    if (std::isnan(value)) std::memcpy(&value, &quiet, sizeof(value));
  }
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(values.data()), values.size() * sizeof(float),
         hash);
  std::string text;
  for (const unsigned char byte : hash) {
    const char* digits = "0123456789abcdef";
    text += {digits[byte >> 4], digits[byte & 15]};
  }
  return text;
}

std::vector<float> decodeRows(const Codec& codec, const std::string& bytes) {
  std::vector<float> values(kRows * kColumns);
  const size_t stride = codec.rowBytes(kColumns);
  EXPECT_EQ(bytes.size(), kRows * stride);
  const auto all = std::as_bytes(std::span(bytes));
  for (size_t r = 0; r < kRows; ++r) {
    codec.decode(all.subspan(r * stride, stride),
                 std::span(values).subspan(r * kColumns, kColumns));
  }
  return values;
}

std::string encodeRows(const Codec& codec, std::span<const float> values,
                       std::span<const float> weights) {
  const size_t stride = codec.rowBytes(kColumns);
  std::string bytes(kRows * stride, '\0');
  const auto all = std::as_writable_bytes(std::span(bytes));
  for (size_t r = 0; r < kRows; ++r) {
    codec.encode(values.subspan(r * kColumns, kColumns), weights, all.subspan(r * stride, stride));
  }
  return bytes;
}

double rowError(std::span<const float> values, std::span<const float> decoded,
                std::span<const float> weights, size_t row) {
  double sum = 0;
  for (size_t c = 0; c < kColumns; ++c) {
    const double error = double(decoded[row * kColumns + c]) - double(values[row * kColumns + c]);
    sum += error * error * (weights.empty() ? 1.0 : double(weights[c]));
  }
  return sum;
}

class CodecGolden : public testing::TestWithParam<const Codec*> {
 protected:
  const Codec& codec() const { return *GetParam(); }
};

TEST_P(CodecGolden, DecodesReferenceBytesBitForBit) {
  NEEDS_SHARED(kIndex);
  const nlohmann::json type = findType(std::string(codec().name));
  if (type.is_null()) GTEST_SKIP() << "no reference data for " << codec().name;
  for (const char* input : kInputs) {
    for (const char* mode : {"plain", "imat"}) {
      const nlohmann::json& record = type["inputs"][input];
      if (!record.contains(mode)) continue;
      const std::string bytes = readFile(golden(record[mode]["file"]));
      EXPECT_EQ(hexHash(decodeRows(codec(), bytes)), record[mode]["decoded_all_rows_sha256"])
          << record[mode]["file"];
    }
  }
}

// Rows of subnormals make the reference's inverse scale overflow; their codes are arbitrary.
bool isArbitrary(const std::string& input, size_t row, size_t offset, size_t stride) {
  return input == "edge" && row == 3 && offset < stride / 2;
}

TEST_P(CodecGolden, EncodesToReferenceBytes) {
  NEEDS_SHARED(kIndex);
  if (!kSameBytes.contains(std::string(codec().name))) GTEST_SKIP() << "has an encoder of its own";
  const nlohmann::json type = findType(std::string(codec().name));
  for (const std::string input : kInputs) {
    const std::vector<float> values = readFloats(golden("input-" + input + ".f32"));
    const std::string expected = readFile(golden(type["inputs"][input]["plain"]["file"]));
    const std::string bytes = encodeRows(codec(), values, {});
    ASSERT_EQ(bytes.size(), expected.size());
    const size_t stride = bytes.size() / kRows;
    size_t differing = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (isArbitrary(input, i / stride, i % stride, stride)) continue;
      differing += bytes[i] != expected[i];
    }
    EXPECT_EQ(differing, 0u) << input;
  }
}

// 1e-7 of slack for the digits of the index.
TEST_P(CodecGolden, RowErrorsAreNoWorseThanReference) {
  NEEDS_SHARED(kIndex);
  const nlohmann::json type = findType(std::string(codec().name));
  if (type.is_null()) GTEST_SKIP() << "no reference data for " << codec().name;
  for (const std::string input : kInputs) {
    const nlohmann::json& record = type["inputs"][input];
    if (!record.contains("plain")) continue;
    const std::vector<float> values = readFloats(golden("input-" + input + ".f32"));
    const std::vector<float> decoded = decodeRows(codec(), encodeRows(codec(), values, {}));
    for (size_t r = 0; r < kRows; ++r) {
      const nlohmann::json& reference = record["plain"]["row_mse"][r];
      const double error = rowError(values, decoded, {}, r) / kColumns;
      EXPECT_TRUE(std::isfinite(error)) << input << " row " << r;
      if (reference.is_null()) continue;
      EXPECT_LE(error, reference.get<double>() * (1 + 1e-7)) << input << " row " << r;
    }
  }
}

TEST_P(CodecGolden, WeightedErrorIsNoWorseThanReference) {
  NEEDS_SHARED(kIndex);
  const nlohmann::json type = findType(std::string(codec().name));
  if (type.is_null()) GTEST_SKIP() << "no reference data for " << codec().name;
  const std::vector<float> weights = readFloats(golden("imatrix.f32"));
  for (const std::string input : {"gauss", "heavy"}) {
    const nlohmann::json& record = type["inputs"][input];
    const char* mode = record.contains("imat") ? "imat" : "plain";
    const std::vector<float> values = readFloats(golden("input-" + input + ".f32"));
    const std::vector<float> ours = decodeRows(codec(), encodeRows(codec(), values, weights));
    const std::vector<float> theirs = decodeRows(codec(), readFile(golden(record[mode]["file"])));
    double ourError = 0;
    double theirError = 0;
    for (size_t r = 0; r < kRows; ++r) {
      ourError += rowError(values, ours, weights, r);
      theirError += rowError(values, theirs, weights, r);
    }
    EXPECT_LE(ourError, theirError * (1 + 1e-7)) << input;
    RecordProperty("weighted_ratio_" + input, std::to_string(ourError / theirError));
  }
}

std::string nameOf(const testing::TestParamInfo<const Codec*>& info) {
  return std::string(info.param->name);
}
INSTANTIATE_TEST_SUITE_P(All, CodecGolden, testing::ValuesIn(codecs().begin(), codecs().end()),
                         nameOf);

}  // namespace
}  // namespace bitloom

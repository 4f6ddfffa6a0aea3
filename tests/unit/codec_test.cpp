// SPDX-License-Identifier: GPL-3.0-or-later
// What every codec promises, whichever codecs there are.
#include "core/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>

namespace bitloom {
namespace {

using Bytes = std::vector<std::byte>;
using Floats = std::vector<float>;

constexpr size_t kLong = 4096;

Floats gaussian(size_t count, unsigned seed, float deviation = 0.02f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  Floats values(count);
  for (float& value : values) value = normal(random);
  return values;
}

Floats importances(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Floats values(count);
  for (float& value : values) value = std::exp(1.5f * normal(random));
  return values;
}

Bytes encode(const Codec& codec, std::span<const float> row, std::span<const float> weights = {}) {
  Bytes bytes(codec.rowBytes(row.size()));
  codec.encode(row, weights, bytes);
  return bytes;
}

Floats decode(const Codec& codec, std::span<const std::byte> bytes, size_t count) {
  Floats row(count, std::numeric_limits<float>::quiet_NaN());
  codec.decode(bytes, row);
  return row;
}

Floats throughCodec(const Codec& codec, std::span<const float> row,
                    std::span<const float> weights = {}) {
  return decode(codec, encode(codec, row, weights), row.size());
}

double squaredError(std::span<const float> a, std::span<const float> b,
                    std::span<const float> weights = {}) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = double(a[i]) - double(b[i]);
    sum += error * error * (weights.empty() ? 1.0 : double(weights[i]));
  }
  return sum;
}

double energy(std::span<const float> row) { return squaredError(row, Floats(row.size())); }

bool allFinite(std::span<const float> row) {
  for (const float value : row) {
    if (!std::isfinite(value)) return false;
  }
  return true;
}

// Relative squared error that a codec of so many bits may have on Gaussian weights: eight times the
// information-theoretic floor 4^−bits; floats are bound by their significant bits instead.
double errorBound(const Codec& codec) {
  if (codec.bits >= 32) return 0;
  if (codec.bits >= 16) return 1e-5;
  if (codec.name == "fp8_e4m3") return 0x1p-10;  // steps of 2⁻³ of a binade
  if (codec.name == "fp8_e5m2") return 0x1p-8;
  return 8 * std::pow(4.0, -codec.bits);
}

// The shortest row that a codec holds; all its rows are multiples of it.
size_t shortestRow(const Codec& codec) {
  size_t n = 1;
  while (codec.rowBytes(n) == 0) ++n;
  return n;
}

class CodecPromises : public testing::TestWithParam<const Codec*> {
 protected:
  const Codec& codec() const { return *GetParam(); }
};

TEST_P(CodecPromises, IsFoundByItsName) {
  EXPECT_EQ(findCodec(codec().name), &codec());
  EXPECT_FALSE(codec().title.empty());
  EXPECT_FALSE(codec().summary.empty());
}

TEST_P(CodecPromises, RowSizesAreMultiplesOfTheShortestRow) {
  const size_t shortest = shortestRow(codec());
  ASSERT_LE(shortest, 256u);
  EXPECT_EQ(codec().rowBytes(0), 0u);
  uint64_t previous = 0;
  for (size_t n = 1; n <= 4 * shortest; ++n) {
    const uint64_t bytes = codec().rowBytes(n);
    EXPECT_EQ(bytes != 0, n % shortest == 0) << n;
    if (bytes == 0) continue;
    EXPECT_GT(bytes, previous) << n;
    previous = bytes;
  }
}

// A row may begin with a few bytes of its own.
TEST_P(CodecPromises, BitsAreThoseOfLongRows) {
  for (const uint64_t n : {uint64_t(kLong), uint64_t(1) << 40}) {
    const uint64_t bytes = uint64_t(double(n / 8) * codec().bits);
    EXPECT_GE(codec().rowBytes(n), bytes) << n;
    EXPECT_LE(codec().rowBytes(n), bytes + sizeof(float)) << n;
  }
}

TEST_P(CodecPromises, FallbacksHoldAnyRow) {
  for (const uint64_t n : {1, 2, 31, 32, 33, 63, 64, 96, 100, 128, 192, 256, 576, 4097}) {
    const Codec* effective = effectiveCodec(&codec(), n);
    ASSERT_NE(effective, nullptr);
    EXPECT_NE(effective->rowBytes(n), 0u) << n;
    if (codec().rowBytes(n) != 0) {
      EXPECT_EQ(effective, &codec()) << n;
    }
  }
}

TEST_P(CodecPromises, ErrorIsBelowTheBoundOfItsBits) {
  const Floats row = gaussian(16 * kLong, 1);
  const double error = squaredError(throughCodec(codec(), row), row) / energy(row);
  EXPECT_LE(error, errorBound(codec()));
  RecordProperty("relative_error", std::to_string(error));
}

TEST_P(CodecPromises, RowsOfEveryLengthDecodeInTheirOwnBytes) {
  const size_t shortest = shortestRow(codec());
  for (size_t blocks = 1; blocks <= 5; ++blocks) {
    const Floats row = gaussian(blocks * shortest, unsigned(blocks));
    Bytes bytes = encode(codec(), row);
    const size_t size = bytes.size();
    bytes.resize(size + 64, std::byte{0x5a});
    Floats decoded(row.size() + 16, 77.0f);
    codec().decode(std::span(bytes).first(size), std::span(decoded).first(row.size()));
    for (size_t i = row.size(); i < decoded.size(); ++i) EXPECT_EQ(decoded[i], 77.0f);
    EXPECT_LT(squaredError(std::span(decoded).first(row.size()), row), energy(row));
  }
}

TEST_P(CodecPromises, BytesDependOnNothingButTheRow) {
  const Floats row = gaussian(kLong, 3);
  const Floats weights = importances(kLong, 4);
  for (const bool weighted : {false, true}) {
    const std::span<const float> columns =
        weighted ? std::span<const float>(weights) : std::span<const float>();
    const Bytes expected = encode(codec(), row, columns);
    Floats shifted(kLong + 1);
    std::copy(row.begin(), row.end(), shifted.begin() + 1);
    Bytes bytes(expected.size() + 1, std::byte{0xff});
    codec().encode(std::span(shifted).subspan(1), columns, std::span(bytes).subspan(1));
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.begin() + 1));
  }
}

TEST_P(CodecPromises, ReencodingADecodedRowAddsLittle) {
  const Floats row = gaussian(kLong, 5);
  const Floats once = throughCodec(codec(), row);
  const Floats twice = throughCodec(codec(), once);
  EXPECT_LE(squaredError(twice, once), squaredError(once, row));
}

TEST_P(CodecPromises, ZerosStayExactZeros) {
  const Floats row(kLong, 0.0f);
  for (const float value : throughCodec(codec(), row)) ASSERT_EQ(value, 0.0f);
  for (const float value : throughCodec(codec(), row, importances(kLong, 1))) {
    ASSERT_EQ(value, 0.0f);
  }
}

TEST_P(CodecPromises, OneOutlierSurvives) {
  const bool bounded = codec().name == "tq3_4s";  // its scales end below a half
  for (const float outlier : {0.25f, 1.0f, -3.5f, 1000.0f}) {
    if (bounded && std::fabs(outlier) > 3) continue;
    Floats row(512, 0.0f);
    row[37] = outlier;
    const Floats decoded = throughCodec(codec(), row);
    // Magnitudes drawn from points without a zero cannot leave an outlier's neighbours at zero.
    const bool lacksZero = codec().name.starts_with("iq") && codec().bits < 4;
    const double bound = std::max(errorBound(codec()), lacksZero ? 0.55 : 0.0);
    EXPECT_LE(squaredError(decoded, row), bound * energy(row)) << outlier;
  }
}

TEST_P(CodecPromises, SubnormalsStayTiny) {
  Floats row(512);
  for (size_t i = 0; i < row.size(); ++i) row[i] = float(int(7 * i % 23) - 11) * 1e-41f;
  for (const float value : throughCodec(codec(), row)) ASSERT_LE(std::fabs(value), 1e-38f);
}

TEST_P(CodecPromises, LargestHalvesStayFinite) {
  std::mt19937 random(9);
  Floats row(512);
  for (float& value : row) value = random() & 1 ? 65504.0f : -65504.0f;
  const Floats weights = importances(row.size(), 2);
  for (const Floats& decoded : {throughCodec(codec(), row), throughCodec(codec(), row, weights)}) {
    EXPECT_TRUE(allFinite(decoded));
    EXPECT_LT(squaredError(decoded, row), energy(row));
  }
  const Floats constant(512, 65504.0f);
  EXPECT_TRUE(allFinite(throughCodec(codec(), constant)));
}

TEST_P(CodecPromises, StrangeInputNeverCrashes) {
  const float strange[] = {std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(),
                           std::numeric_limits<float>::quiet_NaN(),
                           3e38f,
                           -1e20f,
                           1e-45f};
  for (const float value : strange) {
    Floats row = gaussian(512, 6);
    row[100] = value;
    throughCodec(codec(), row);
    Floats weights = importances(512, 7);
    weights[200] = value;
    throughCodec(codec(), gaussian(512, 8), weights);
    throughCodec(codec(), Floats(512, value), weights);
  }
}

TEST_P(CodecPromises, AnyBytesDecode) {
  std::mt19937 random(11);
  for (int round = 0; round < 50; ++round) {
    Bytes bytes(codec().rowBytes(512));
    for (std::byte& byte : bytes) byte = std::byte(random());
    EXPECT_EQ(decode(codec(), bytes, 512).size(), 512u);
  }
}

// Also when the importances are extreme, or absent in places, or the scale is a coarse subnormal.
TEST_P(CodecPromises, ImportancesNeverHurtWhatTheyWeigh) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    const Floats row = gaussian(512, 100 + seed, seed < 8 ? 0.02f : 4e-7f);
    Floats weights = importances(row.size(), 200 + seed);
    if (seed % 2) weights[300] = 1e5f;
    for (size_t i = 0; seed > 3 && i < row.size(); i += 3) weights[i] = 0;
    const double plain = squaredError(throughCodec(codec(), row), row, weights);
    const double weighted = squaredError(throughCodec(codec(), row, weights), row, weights);
    EXPECT_LE(weighted, plain * (1 + 1e-4)) << seed;
  }
  const Floats row = gaussian(512, 1);
  EXPECT_EQ(encode(codec(), row, Floats(512, 0.0f)), encode(codec(), row));
}

// Everything that a method does with a grid, one basis block at a time.
struct GridResult {
  Bytes bytes;
  Floats rounded;  // back in the weights' own basis
};

void transform(void (*basis)(float*), std::span<float> block, size_t full) {
  if (basis == nullptr) return;
  Floats padded(full, 0.0f);
  std::copy(block.begin(), block.end(), padded.begin());
  basis(padded.data());
  std::copy_n(padded.begin(), block.size(), block.begin());
}

GridResult throughGrid(const Codec& codec, std::span<const float> row,
                       std::span<const float> weights = {}) {
  const Grid& grid = *codec.grid;
  GridResult result;
  for (size_t at = 0; at < row.size(); at += grid.block) {
    const size_t count = std::min(grid.block, row.size() - at);
    EXPECT_TRUE(count == grid.block || count == grid.tail);
    Floats values(row.begin() + ptrdiff_t(at), row.begin() + ptrdiff_t(at + count));
    transform(grid.toBasis, values, grid.block);
    Floats parameters(grid.parameters);
    grid.fit(values, weights.empty() ? weights : weights.subspan(at, count), parameters);
    std::vector<uint8_t> codes(count);
    Floats rounded(count);
    for (size_t i = 0; i < count; i += grid.vector) {
      grid.round(&values[i], i, parameters, &codes[i], &rounded[i]);
    }
    Bytes bytes(codec.rowBytes(count));
    grid.pack(parameters, codes, bytes);
    transform(grid.fromBasis, rounded, grid.block);
    result.bytes.insert(result.bytes.end(), bytes.begin(), bytes.end());
    result.rounded.insert(result.rounded.end(), rounded.begin(), rounded.end());
  }
  return result;
}

class CodecGrids : public CodecPromises {};

TEST_P(CodecGrids, PackedBytesDecodeToTheRoundedValues) {
  for (const float deviation : {1e-4f, 0.02f, 3.0f}) {
    const size_t count = codec().grid->block * 7 + codec().grid->tail;
    const Floats row = gaussian(count, 21, deviation);
    const GridResult result = throughGrid(codec(), row);
    ASSERT_EQ(result.bytes.size(), codec().rowBytes(count));
    const Floats decoded = decode(codec(), result.bytes, count);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_NEAR(decoded[i], result.rounded[i], 1e-5f * deviation) << i;
    }
  }
}

TEST_P(CodecGrids, ErrorIsCloseToTheEncoders) {
  const Floats row = gaussian(codec().grid->block * 64, 22);
  const double encoder = squaredError(throughCodec(codec(), row), row);
  EXPECT_LE(squaredError(throughGrid(codec(), row).rounded, row), encoder * 1.05);
}

TEST_P(CodecGrids, BasisIsOrthonormal) {
  const Grid& grid = *codec().grid;
  if (grid.toBasis == nullptr) {
    EXPECT_EQ(grid.fromBasis, nullptr);
    return;
  }
  const Floats row = gaussian(grid.block, 23, 1.0f);
  Floats block = row;
  grid.toBasis(block.data());
  EXPECT_NE(block, row);
  EXPECT_NEAR(energy(block) / energy(row), 1.0, 1e-5);
  grid.fromBasis(block.data());
  for (size_t i = 0; i < row.size(); ++i) ASSERT_NEAR(block[i], row[i], 1e-5f);
}

// Both neighbours among the codes, when they exist, are farther away.
TEST_P(CodecGrids, RoundChoosesTheNearestCode) {
  const Grid& grid = *codec().grid;
  if (grid.vector != 1) GTEST_SKIP() << "rounds several values together";
  const Floats row = gaussian(grid.block, 24);
  Floats parameters(grid.parameters);
  grid.fit(row, {}, parameters);
  for (size_t i = 0; i < row.size(); i += 5) {
    std::set<float> reachable;
    for (int k = -3000; k <= 3000; ++k) {
      uint8_t code;
      float rounded;
      const float value = float(k) * 5e-5f;
      grid.round(&value, i, parameters, &code, &rounded);
      reachable.insert(rounded);
    }
    ASSERT_GT(reachable.size(), 3u);
    uint8_t code;
    float rounded;
    grid.round(&row[i], i, parameters, &code, &rounded);
    for (const float other : reachable) {
      EXPECT_LE(std::fabs(rounded - row[i]), std::fabs(other - row[i]) + 1e-7f) << i;
    }
  }
}

TEST_P(CodecGrids, SurvivesZerosAndOutliers) {
  const Grid& grid = *codec().grid;
  const Floats zeros(grid.block, 0.0f);
  for (const float value : throughGrid(codec(), zeros).rounded) EXPECT_EQ(value, 0.0f);
  Floats huge(grid.block, 0.0f);
  huge[5] = 60000;
  EXPECT_TRUE(allFinite(throughGrid(codec(), huge).rounded));
  const Floats weights = importances(grid.block, 3);
  EXPECT_TRUE(allFinite(throughGrid(codec(), gaussian(grid.block, 4), weights).rounded));
}

std::vector<const Codec*> withGrids() {
  std::vector<const Codec*> found;
  for (const Codec* codec : codecs()) {
    if (codec->grid != nullptr) found.push_back(codec);
  }
  return found;
}

std::string nameOf(const testing::TestParamInfo<const Codec*>& info) {
  return std::string(info.param->name);
}
INSTANTIATE_TEST_SUITE_P(All, CodecPromises, testing::ValuesIn(codecs().begin(), codecs().end()),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(All, CodecGrids, testing::ValuesIn(withGrids()), nameOf);

TEST(Codecs, AreListedInTheOrderOfTheirNames) {
  ASSERT_GE(codecs().size(), 19u);
  for (size_t i = 1; i < codecs().size(); ++i) {
    EXPECT_LT(codecs()[i - 1]->name, codecs()[i]->name);
  }
  EXPECT_EQ(findCodec("no such codec"), nullptr);
}

TEST(Codecs, FallBackToAFormatOfSimilarSizeThatHoldsTheRow) {
  const auto effective = [](const char* name, uint64_t n) {
    return effectiveCodec(findCodec(name), n)->name;
  };
  EXPECT_EQ(effective("tq3_1b4", 576), "tq3_1b4");
  EXPECT_EQ(effective("tq3_1b4", 96), "tq3_1s");
  EXPECT_EQ(effective("tq2_1b8", 96), "tq3_1s");
  EXPECT_EQ(effective("tq4_1b2", 96), "tq4_1s");
  EXPECT_EQ(effective("tq4_1b2", 100), "f16");
  EXPECT_EQ(effective("tq3_1s", 33), "f16");
  EXPECT_EQ(effective("q8_0", 33), "f16");
  EXPECT_EQ(effective("q2_k", 576), "q4_0");
  EXPECT_EQ(effective("q3_k", 576), "q4_0");
  EXPECT_EQ(effective("q4_k", 576), "q5_0");
  EXPECT_EQ(effective("q5_k", 576), "q5_1");
  EXPECT_EQ(effective("q6_k", 576), "q8_0");
  EXPECT_EQ(effective("q6_k", 100), "f16");
  EXPECT_EQ(effective("iq4_xs", 576), "iq4_nl");
  EXPECT_EQ(effective("iq3_xxs", 576), "iq4_nl");
  EXPECT_EQ(effective("iq1_m", 100), "f16");
  EXPECT_EQ(effective("nvfp4", 96), "mxfp4");
  EXPECT_EQ(effective("tq1_0", 576), "q4_0");
  EXPECT_EQ(effective("q2_0", 576), "q2_0");
  EXPECT_EQ(effective("q2_0", 96), "q4_0");
  EXPECT_EQ(effective("fp8_e4m3", 1), "fp8_e4m3");
}

TEST(Codecs, GiveTheSameBytesAndFloatsOnEveryProcessor) {
  const std::vector<const Codec*> portable = codecsFor("scalar");
  ASSERT_EQ(portable.size(), codecs().size());
  EXPECT_TRUE(codecsFor("no such processor").empty());
  const Floats row = gaussian(2048, 31);
  const Floats weights = importances(row.size(), 32);
  for (const char* cpu : {"avx2", "avx512", "amx"}) {
    const std::vector<const Codec*> others = codecsFor(cpu);
    for (size_t i = 0; i < others.size(); ++i) {
      ASSERT_EQ(others[i]->name, portable[i]->name);
      EXPECT_NE(others[i], portable[i]);
      const Bytes bytes = encode(*portable[i], row);
      EXPECT_EQ(encode(*others[i], row), bytes) << cpu << " " << portable[i]->name;
      EXPECT_EQ(encode(*others[i], row, weights), encode(*portable[i], row, weights))
          << cpu << " " << portable[i]->name;
      EXPECT_EQ(decode(*others[i], bytes, row.size()), decode(*portable[i], bytes, row.size()))
          << cpu << " " << portable[i]->name;
    }
  }
}

TEST(Codecs, OfOneWidthCompareByTheirErrorOnGaussianWeights) {
  const auto error = [](const char* name) { return gaussianError(*findCodec(name)); };
  EXPECT_EQ(error("f32"), 0);
  EXPECT_LT(error("q4_k"), error("iq4_nl"));
  EXPECT_LT(error("iq4_nl"), error("q4_0"));
  EXPECT_LT(error("q5_k"), error("q5_0"));
  EXPECT_NEAR(error("q4_0"), 0.0074, 0.0006) << "its figure on long rows";
}

// Bits per weight as the formats' specification lists them.
TEST(Codecs, SizesAreThoseOfTheFormats) {
  const struct {
    const char* name;
    uint64_t bytes;  // of 256 weights
  } sizes[] = {
      {"f32", 1024},     {"f16", 512},      {"bf16", 512},    {"q8_0", 272},    {"q4_0", 144},
      {"q4_1", 160},     {"q5_0", 176},     {"q5_1", 192},    {"tq3_1s", 128},  {"tq4_1s", 160},
      {"tq2_1b2", 84},   {"tq2_1b4", 76},   {"tq2_1b8", 72},  {"tq3_1b2", 116}, {"tq3_1b4", 108},
      {"tq3_1b8", 104},  {"tq4_1b2", 148},  {"tq4_1b4", 140}, {"tq4_1b8", 136}, {"q2_k", 84},
      {"q3_k", 110},     {"q4_k", 144},     {"q5_k", 176},    {"q6_k", 210},    {"iq4_nl", 144},
      {"iq4_xs", 136},   {"tq1_0", 54},     {"tq2_0", 66},    {"q1_0", 36},     {"q2_0", 72},
      {"fp8_e4m3", 260}, {"fp8_e5m2", 260}, {"mxfp4", 136},   {"nvfp4", 144},   {"iq1_s", 50},
      {"iq1_m", 56},     {"iq2_xxs", 66},   {"iq2_xs", 74},   {"iq2_s", 82},    {"iq3_xxs", 98},
      {"iq3_s", 110}};
  for (const auto& size : sizes) {
    EXPECT_EQ(findCodec(size.name)->rowBytes(256), size.bytes) << size.name;
  }
}

}  // namespace
}  // namespace bitloom

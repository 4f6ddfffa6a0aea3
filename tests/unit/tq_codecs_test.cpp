// SPDX-License-Identifier: GPL-3.0-or-later
// The rotated formats: TQ3_1S, TQ4_1S and the TQn_1Bg family, against decoders written here from
// the layouts with an explicit rotation matrix in double precision.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "core/codec.h"
#include "core/codecs/tq/importance.h"
#include "core/codecs/tq/rotation.h"
#include "core/half.h"
#include "tests/support/paths.h"

namespace bitloom {
namespace {

using Floats = std::vector<float>;
using Octets = std::vector<uint8_t>;

const char* const kSignText = "+-+-++-+--+-++-+--+-+--+-++-+--+";
const double kCentroids3[8] = {-1.996684, -1.291398, -0.740341, -0.247508,
                               0.230106,  0.725222,  1.277503,  1.988943};
const double kMagnitudes4[8] = {0.128395, 0.388048, 0.656759, 0.942340,
                                1.256231, 1.618046, 2.069017, 2.732590};

// Row i, column j of the rotation: Sylvester's Hadamard matrix times the signs.
double rotationAt(size_t i, size_t j) {
  const double hadamard = std::popcount(i & j) % 2 ? -1 : 1;
  return hadamard * (kSignText[j] == '+' ? 1 : -1) / std::sqrt(32.0);
}

std::vector<double> unrotated(const std::vector<double>& rotated) {
  std::vector<double> row(rotated.size());
  for (size_t base = 0; base < rotated.size(); base += 32) {
    for (size_t j = 0; j < 32; ++j) {
      for (size_t i = 0; i < 32; ++i) row[base + j] += rotationAt(i, j) * rotated[base + i];
    }
  }
  return row;
}

Floats gaussian(size_t count, unsigned seed, float deviation = 1.0f) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  Floats values(count);
  for (float& value : values) value = normal(random);
  return values;
}

Octets encode(std::string_view name, std::span<const float> row,
              std::span<const float> weights = {}) {
  Octets bytes(findCodec(name)->rowBytes(row.size()));
  findCodec(name)->encode(row, weights, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

Floats decode(std::string_view name, const Octets& bytes, size_t count) {
  Floats row(count);
  findCodec(name)->decode(std::as_bytes(std::span(bytes)), row);
  return row;
}

double relativeError(std::string_view name, const Floats& row) {
  const Floats decoded = decode(name, encode(name, row), row.size());
  double error = 0;
  double total = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    error += std::pow(double(decoded[i]) - double(row[i]), 2);
    total += std::pow(double(row[i]), 2);
  }
  return error / total;
}

unsigned bitField(const uint8_t* bytes, size_t first, size_t count) {
  unsigned value = 0;
  for (size_t k = 0; k < count; ++k) {
    value |= unsigned(bytes[(first + k) / 8] >> ((first + k) % 8) & 1) << k;
  }
  return value;
}

double halfAt(const uint8_t* bytes) {
  return double(halfToFloat(uint16_t(bytes[0] | bytes[1] << 8)));
}

void expectNear(const Floats& decoded, const std::vector<double>& expected) {
  ASSERT_EQ(decoded.size(), expected.size());
  double largest = 0;
  for (const double value : expected) largest = std::fmax(largest, std::fabs(value));
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(double(decoded[i]), expected[i], 2e-6 * largest) << i;
  }
}

TEST(TqRotation, IsTheSignedHadamardMatrix) {
  for (size_t j = 0; j < 32; ++j) {
    EXPECT_EQ(tq::signOf(j), kSignText[j] == '+' ? 1.0f : -1.0f) << j;
    float block[32] = {};
    block[j] = 1;
    tq::rotate(block);
    for (size_t i = 0; i < 32; ++i) ASSERT_NEAR(double(block[i]), rotationAt(i, j), 1e-7);
  }
}

TEST(TqRotation, IsUndoneAndKeepsNorms) {
  const Floats row = gaussian(32, 1);
  float block[32];
  std::copy_n(row.begin(), 32, block);
  tq::rotate(block);
  double before = 0;
  double after = 0;
  for (size_t i = 0; i < 32; ++i) {
    before += double(row[i]) * double(row[i]);
    after += double(block[i]) * double(block[i]);
  }
  EXPECT_NEAR(after / before, 1.0, 1e-6);
  tq::unrotate(block);
  for (size_t i = 0; i < 32; ++i) EXPECT_NEAR(block[i], row[i], 1e-6f);
}

// e·G·e in the rotated basis is the weighted error of the columns.
TEST(TqImportance, IsTheRotatedDiagonal) {
  const Floats error = gaussian(32, 2);
  Floats weights = gaussian(32, 3);
  for (float& weight : weights) weight = std::exp(weight);
  tq::Importance importance;
  ASSERT_TRUE(importance.set(weights.data(), 1.0f));
  double expected = 0;
  for (size_t i = 0; i < 32; ++i) {
    expected += double(weights[i]) * double(error[i]) * double(error[i]);
  }
  float rotated[32], product[32];
  std::copy_n(error.begin(), 32, rotated);
  tq::rotate(rotated);
  importance.apply(rotated, product);
  double direct = 0;
  double matrix = 0;
  for (size_t i = 0; i < 32; ++i) {
    direct += double(rotated[i]) * double(product[i]);
    for (size_t j = 0; j < 32; ++j) {
      matrix += double(rotated[i]) * double(importance.at(i, j)) * double(rotated[j]);
    }
  }
  EXPECT_NEAR(direct / expected, 1, 1e-5);
  EXPECT_NEAR(matrix / expected, 1, 1e-5);
}

TEST(Tq3_1s, ConstantRotatedBlockDecodesToOneWeight) {
  Octets bytes(16, 0);
  bytes[1] = bytes[3] = 0x40;  // both scales 2
  const Floats row = decode("tq3_1s", bytes, 32);
  EXPECT_NEAR(row[0], -22.58990f, 1e-4f);  // −1.996684 · 2 · √32
  for (size_t i = 1; i < 32; ++i) EXPECT_EQ(row[i], 0.0f) << i;
}

TEST(Tq3_1s, CodesArePackedAsTwentyFourBitIntegers) {
  const Grid& grid = *findCodec("tq3_1s")->grid;
  std::array<uint8_t, 32> codes;
  for (size_t i = 0; i < 32; ++i) codes[i] = uint8_t(i % 8);
  Octets bytes(16);
  const Floats scales = {1.0f, -2.0f};
  grid.pack(scales, codes, std::as_writable_bytes(std::span(bytes)));
  const uint8_t head[] = {0x00, 0x3c, 0x00, 0xc0, 0x88, 0xc6, 0xfa};
  EXPECT_TRUE(std::equal(std::begin(head), std::end(head), bytes.begin()));
  for (size_t position = 0; position < 32; ++position) {
    for (uint8_t code = 0; code < 8; ++code) {
      codes.fill(0);
      codes[position] = code;
      grid.pack(scales, codes, std::as_writable_bytes(std::span(bytes)));
      for (size_t i = 0; i < 32; ++i) {
        ASSERT_EQ(bitField(&bytes[4], 3 * i, 3), i == position ? code : 0u);
      }
    }
  }
}

TEST(Tq3_1s, RandomBytesDecodeByTheFormula) {
  std::mt19937 random(4);
  for (int round = 0; round < 20; ++round) {
    Octets bytes(16);
    for (uint8_t& byte : bytes) byte = uint8_t(random());
    bytes[1] = bytes[1] & 0xbf;  // finite scales
    bytes[3] = bytes[3] & 0xbf;
    std::vector<double> rotated(32);
    for (size_t i = 0; i < 32; ++i) {
      rotated[i] = halfAt(&bytes[i < 16 ? 0 : 2]) * kCentroids3[bitField(&bytes[4], 3 * i, 3)];
    }
    expectNear(decode("tq3_1s", bytes, 32), unrotated(rotated));
  }
}

double scaleOf4s(int byte) {
  return byte == 0 ? 0.0 : std::ldexp(1 + (byte & 31) / 32.0, (byte >> 5) - 9);
}

TEST(Tq3_4s, RandomBytesDecodeByTheFormula) {
  std::mt19937 random(6);
  for (int round = 0; round < 20; ++round) {
    Octets bytes(16);
    for (uint8_t& byte : bytes) byte = uint8_t(random());
    std::vector<double> rotated(32);
    for (size_t i = 0; i < 32; ++i) {
      rotated[i] = scaleOf4s(bytes[i / 8]) * kCentroids3[bitField(&bytes[4], 3 * i, 3)];
    }
    expectNear(decode("tq3_4s", bytes, 32), unrotated(rotated));
  }
}

// The length of a block of which only the first eight rotated values are not zero.
TEST(Tq3_4s, ScalesGrowWithTheirByteUpToJustBelowAHalf) {
  double last = -1;
  for (int byte = 0; byte < 256; ++byte) {
    Octets bytes(16);
    bytes[0] = uint8_t(byte);
    double square = 0;
    for (const float value : decode("tq3_4s", bytes, 32)) square += double(value) * double(value);
    const double scale = std::sqrt(square / 8) / std::fabs(kCentroids3[0]);
    EXPECT_GT(scale, last) << byte;
    EXPECT_NEAR(scale, scaleOf4s(byte), 1e-6 * scale) << byte;
    last = scale;
  }
  EXPECT_NEAR(last, 0.4921875, 1e-6);
}

TEST(Tq3_4s, SmallWeightsLoseLessThanWithTwoScales) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 0.05f);
  Floats row(1 << 15);
  for (float& value : row) value = normal(random);
  const auto error = [&](const char* name) {
    const Codec& codec = *findCodec(name);
    std::vector<std::byte> bytes(codec.rowBytes(row.size()));
    codec.encode(row, {}, bytes);
    Floats decoded(row.size());
    codec.decode(bytes, decoded);
    double sum = 0;
    for (size_t i = 0; i < row.size(); ++i) sum += std::pow(double(decoded[i] - row[i]), 2);
    return sum;
  };
  EXPECT_LT(error("tq3_4s"), error("tq3_1s"));
}

TEST(Tq4_1s, RandomBytesDecodeByTheFormula) {
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    Octets bytes(20);
    for (uint8_t& byte : bytes) byte = uint8_t(random());
    bytes[1] = bytes[1] & 0xbf;
    bytes[3] = bytes[3] & 0xbf;
    std::vector<double> rotated(32);
    for (size_t i = 0; i < 32; ++i) {
      const int code = bytes[4 + i / 2] >> (i % 2 ? 4 : 0) & 15;
      rotated[i] = halfAt(&bytes[i < 16 ? 0 : 2]) *
                   (code < 8 ? -kMagnitudes4[7 - code] : kMagnitudes4[code - 8]);
    }
    expectNear(decode("tq4_1s", bytes, 32), unrotated(rotated));
  }
}

TEST(TwoScales, GaussianErrorsAreNearTheOptimum) {
  const Floats row = gaussian(32 * 20000, 6);
  EXPECT_LT(relativeError("tq3_1s", row), 0.0212);
  EXPECT_LT(relativeError("tq4_1s", row), 0.00470);
}

TEST(TwoScales, ZeroBlocksStoreZeroScalesAndMiddleCodes) {
  const Octets bytes3 = encode("tq3_1s", Floats(32, 0.0f));
  EXPECT_EQ(bytes3[0] | bytes3[1] | bytes3[2] | bytes3[3], 0);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(bitField(&bytes3[4], 3 * i, 3), 4u);
  const Octets bytes4 = encode("tq4_1s", Floats(32, 0.0f));
  for (size_t i = 4; i < 20; ++i) EXPECT_EQ(bytes4[i], 0x88);
}

TEST(TwoScales, PowersOfTwoMoveTheScalesOnly) {
  for (const char* name : {"tq3_1s", "tq4_1s"}) {
    const Floats row = gaussian(320, 7);
    Floats scaled = row;
    for (float& value : scaled) value *= 8;
    const Octets before = encode(name, row);
    const Octets after = encode(name, scaled);
    const size_t block = before.size() / 10;
    for (size_t i = 0; i < before.size(); ++i) {
      const size_t at = i % block;
      // Three binades: the exponent, in bits 2 … 6 of a half's upper byte, grows by three.
      const uint8_t expected = at == 1 || at == 3 ? uint8_t(before[i] + (3 << 2)) : before[i];
      ASSERT_EQ(after[i], expected) << name << " byte " << i;
    }
  }
}

// One rotated activation serves all blocks of a row.
TEST(TwoScales, DotProductsCanBeTakenInTheRotatedBasis) {
  const Floats row = gaussian(32, 8);
  Floats activation = gaussian(32, 9);
  const Octets bytes = encode("tq3_1s", row);
  const Floats decoded = decode("tq3_1s", bytes, 32);
  double direct = 0;
  double size = 0;
  for (size_t i = 0; i < 32; ++i) {
    direct += double(decoded[i]) * double(activation[i]);
    size += std::fabs(double(decoded[i]) * double(activation[i]));
  }
  tq::rotate(activation.data());
  double rotated = 0;
  for (size_t i = 0; i < 32; ++i) {
    rotated += halfAt(&bytes[i < 16 ? 0 : 2]) * kCentroids3[bitField(&bytes[4], 3 * i, 3)] *
               double(activation[i]);
  }
  EXPECT_NEAR(direct, rotated, 1e-6 * size);
}

// The other published encoder, whose bytes need not be ours but whose errors bound ours.
TEST(Tq3_1s, NoRowIsWorseThanEitherPublishedEncoder) {
  NEEDS_SHARED("golden/codecs/tq3_1s.gauss.encoder-b.bin");
  for (const std::string input : {"gauss", "heavy", "edge"}) {
    const Floats values =
        test::readFloats(test::sharedPath("golden/codecs/input-" + input + ".f32"));
    for (const char* suffix : {".bin", ".encoder-b.bin"}) {
      const std::string text =
          test::readFile(test::sharedPath("golden/codecs/tq3_1s." + input + suffix));
      const Floats theirs = decode("tq3_1s", Octets(text.begin(), text.end()), values.size());
      const Floats ours = decode("tq3_1s", encode("tq3_1s", values), values.size());
      for (size_t r = 0; r < 8; ++r) {
        double ourError = 0;
        double theirError = 0;
        for (size_t i = r * 512; i < (r + 1) * 512; ++i) {
          ourError += std::pow(double(ours[i]) - double(values[i]), 2);
          theirError += std::pow(double(theirs[i]) - double(values[i]), 2);
        }
        if (!std::isfinite(theirError)) continue;
        EXPECT_LE(ourError, theirError * (1 + 1e-9)) << input << suffix << " row " << r;
      }
    }
  }
}

struct Member {
  const char* name;
  size_t bits;
  size_t group;
  std::vector<int> tables[2];
  double error;  // on Gaussian weights, as published for the family
};

const std::vector<Member>& family() {
  static const std::vector<Member> members = {
      {"tq2_1b2", 2, 2, {{35, 127}, {19, 71}}, .0588},
      {"tq2_1b4", 2, 4, {{35, 127}, {21, 75}}, .0758},
      {"tq2_1b8", 2, 8, {{36, 127}, {23, 81}}, .0905},
      {"tq3_1b2", 3, 2, {{12, 39, 73, 127}, {9, 28, 53, 93}}, .0152},
      {"tq3_1b4", 3, 4, {{13, 41, 75, 127}, {10, 30, 55, 94}}, .0194},
      {"tq3_1b8", 3, 8, {{14, 43, 77, 127}, {10, 31, 56, 93}}, .0228},
      {"tq4_1b2",
       4,
       2,
       {{5, 17, 31, 48, 61, 78, 101, 127}, {4, 12, 21, 33, 42, 54, 70, 88}},
       .0040},
      {"tq4_1b4",
       4,
       4,
       {{6, 18, 32, 46, 60, 78, 101, 127}, {4, 13, 22, 32, 42, 54, 70, 88}},
       .0049},
      {"tq4_1b8",
       4,
       8,
       {{6, 18, 32, 46, 61, 78, 101, 127}, {4, 13, 22, 32, 42, 55, 71, 89}},
       .0057},
  };
  return members;
}

class OneBitFamily : public testing::TestWithParam<Member> {
 protected:
  size_t blockBytes(size_t count) const {
    return 2 + count / GetParam().group / 8 + count * GetParam().bits / 8;
  }
};

TEST_P(OneBitFamily, RowsAreBlocksAndPerhapsAHalfBlock) {
  const Codec& codec = *findCodec(GetParam().name);
  EXPECT_EQ(codec.rowBytes(64), blockBytes(64));
  EXPECT_EQ(codec.rowBytes(128), blockBytes(128));
  EXPECT_EQ(codec.rowBytes(576), 4 * blockBytes(128) + blockBytes(64));
  EXPECT_EQ(codec.rowBytes(96), 0u);
  EXPECT_EQ(codec.rowBytes(32), 0u);
}

// A row of 192: one whole block and one half block.
TEST_P(OneBitFamily, RandomBytesDecodeByTheFormula) {
  const Member& member = GetParam();
  std::mt19937 random(10);
  for (int round = 0; round < 10; ++round) {
    Octets bytes(blockBytes(128) + blockBytes(64));
    for (uint8_t& byte : bytes) byte = uint8_t(random());
    std::vector<double> rotated(192);
    for (const size_t base : {size_t(0), size_t(128)}) {
      uint8_t* block = &bytes[base ? blockBytes(128) : 0];
      const size_t count = base ? 64 : 128;
      block[1] &= 0xbf;  // a finite scale
      const uint8_t* codes = block + 2 + count / member.group / 8;
      for (size_t i = 0; i < count; ++i) {
        const std::vector<int>& table = member.tables[bitField(block + 2, i / member.group, 1)];
        const int half = int(table.size());
        const int code = int(bitField(codes, member.bits * i, member.bits));
        const int level =
            code < half ? -table[size_t(half - 1 - code)] : table[size_t(code - half)];
        rotated[base + i] = halfAt(block) * level / 64;
      }
    }
    expectNear(decode(member.name, bytes, 192), unrotated(rotated));
  }
}

TEST_P(OneBitFamily, GaussianErrorIsThePublishedOne) {
  const Floats row = gaussian(128 * 4000, 11);
  const double error = relativeError(GetParam().name, row);
  // The published figures have three digits, which is another half unit.
  EXPECT_LT(error, GetParam().error * 1.01 + 0.00005);
  EXPECT_GT(error, GetParam().error * 0.95);
}

TEST_P(OneBitFamily, HalfBlocksAreAsGoodAsWhole) {
  const Floats rows = gaussian(64 * 2000, 12);
  double error = 0;
  double total = 0;
  for (size_t at = 0; at < rows.size(); at += 64) {
    const Floats row(rows.begin() + ptrdiff_t(at), rows.begin() + ptrdiff_t(at + 64));
    const Floats decoded = decode(GetParam().name, encode(GetParam().name, row), 64);
    for (size_t i = 0; i < 64; ++i) {
      error += std::pow(double(decoded[i]) - double(row[i]), 2);
      total += std::pow(double(row[i]), 2);
    }
  }
  EXPECT_LT(error / total, GetParam().error * 1.02);
}

// The scale bit is worth having only if groups really choose between the tables.
TEST_P(OneBitFamily, BothTablesAreUsed) {
  const Floats row = gaussian(128 * 100, 13);
  const Octets bytes = encode(GetParam().name, row);
  size_t ones = 0;
  const size_t groups = 128 / GetParam().group;
  for (size_t block = 0; block < 100; ++block) {
    for (size_t group = 0; group < groups; ++group) {
      ones += bitField(&bytes[block * blockBytes(128) + 2], group, 1);
    }
  }
  const double share = double(ones) / double(100 * groups);
  EXPECT_GT(share, 0.2);
  EXPECT_LT(share, 0.9);
}

TEST_P(OneBitFamily, LargeScalesAreClamped) {
  const Floats row(128, 65504.0f);
  for (const float value : decode(GetParam().name, encode(GetParam().name, row), 128)) {
    EXPECT_TRUE(std::isfinite(value));
  }
}

void PrintTo(const Member& member, std::ostream* out) { *out << member.name; }
INSTANTIATE_TEST_SUITE_P(All, OneBitFamily, testing::ValuesIn(family()),
                         [](const auto& test) { return std::string(test.param.name); });

// Correlation of the error with strong columns is what importances buy.
TEST(TqCodecs, ImportancesCutTheWeightedErrorByAThird) {
  Floats weights = gaussian(512, 14);
  for (float& weight : weights) weight = std::exp(weight);
  for (const char* name : {"tq3_1s", "tq4_1s", "tq2_1b8", "tq3_1b4", "tq4_1b2"}) {
    double plain = 0;
    double weighted = 0;
    for (unsigned seed = 0; seed < 40; ++seed) {
      const Floats row = gaussian(512, 1000 + seed);
      const Floats without = decode(name, encode(name, row), 512);
      const Floats with = decode(name, encode(name, row, weights), 512);
      for (size_t i = 0; i < 512; ++i) {
        plain += double(weights[i]) * std::pow(double(without[i]) - double(row[i]), 2);
        weighted += double(weights[i]) * std::pow(double(with[i]) - double(row[i]), 2);
      }
    }
    EXPECT_LT(weighted, 0.72 * plain) << name;
  }
}

}  // namespace
}  // namespace bitloom

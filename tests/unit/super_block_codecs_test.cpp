// SPDX-License-Identifier: GPL-3.0-or-later
// Formats that hold some rows exactly must give those rows back, bit for bit; and blocks of one
// sign must not pay for the sign that they lack.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/codec.h"
#include "core/half.h"

namespace bitloom {
namespace {

using Floats = std::vector<float>;

Floats throughCodec(const char* name, const Floats& row) {
  const Codec& codec = *findCodec(name);
  std::vector<std::byte> bytes(codec.rowBytes(row.size()));
  codec.encode(row, {}, bytes);
  Floats decoded(row.size());
  codec.decode(bytes, decoded);
  return decoded;
}

Floats drawn(size_t count, std::initializer_list<float> values, unsigned seed) {
  std::mt19937 random(seed);
  Floats row(count);
  for (float& value : row) value = values.begin()[random() % values.size()];
  return row;
}

double relativeError(const Floats& a, const Floats& b) {
  double error = 0, energy = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
    energy += double(b[i]) * double(b[i]);
  }
  return error / energy;
}

TEST(TernaryCodecs, TernaryRowsRoundTripExactly) {
  for (const float scale : {0.0234375f, 1.0f, 96.0f}) {
    const Floats row = drawn(1024, {-scale, 0.0f, scale}, 1);
    EXPECT_EQ(throughCodec("tq1_0", row), row) << scale;
    EXPECT_EQ(throughCodec("tq2_0", row), row) << scale;
    EXPECT_EQ(throughCodec("q2_0", row), row) << scale;
  }
}

// Every byte that five digits in base 3 make, in the place of the first 160 weights.
TEST(TernaryCodecs, AllBytesOfFiveDigitsDecodeAndRoundTrip) {
  for (int number = 0; number < 243; ++number) {
    Floats row(256, 0.5f);
    int rest = number;
    for (size_t digit = 5; digit-- > 0; rest /= 3) row[32 * digit] = 0.5f * float(rest % 3 - 1);
    EXPECT_EQ(throughCodec("tq1_0", row), row) << number;
  }
}

// Four codes a byte, low bits first, after the scale.
TEST(TernaryCodecs, Q2_0StoresCodesInTheOrderOfItsWeights) {
  std::vector<std::byte> bytes(18, std::byte{0x55});
  bytes[0] = std::byte{0x00};
  bytes[1] = std::byte{0x38};  // 0.5
  bytes[2] = std::byte{0xe4};  // codes 0, 1, 2, 3
  Floats decoded(64);
  findCodec("q2_0")->decode(bytes, decoded);
  EXPECT_EQ(Floats(decoded.begin(), decoded.begin() + 5), (Floats{-0.5f, 0, 0.5f, 1, 0}));
}

TEST(BinaryCodecs, SignsRoundTripExactly) {
  const Floats row = drawn(1024, {-0.375f, 0.375f}, 2);
  EXPECT_EQ(throughCodec("q1_0", row), row);
}

TEST(SmallFloatCodecs, RowsOnTheirGridRoundTripExactly) {
  Floats row = drawn(1024, {0, .5f, 1, 1.5f, 2, 3, 4, 6, -.5f, -1, -1.5f, -2, -3, -4, -6}, 3);
  for (size_t i = 0; i < row.size(); i += 16) row[i] = 6;
  for (const float scale : {0.25f, 1.0f, 64.0f}) {
    Floats scaled = row;
    for (float& value : scaled) value *= scale;
    EXPECT_EQ(throughCodec("mxfp4", scaled), scaled) << scale;
    EXPECT_EQ(throughCodec("nvfp4", scaled), scaled) << scale;
  }
}

// NVFP4's code for NaN, in the scale of the second group of 16.
TEST(SmallFloatCodecs, AScaleThatIsNoNumberMeansZero) {
  std::vector<std::byte> bytes(36, std::byte{0x77});
  for (size_t group = 0; group < 4; ++group) bytes[group] = std::byte{0x38};
  bytes[1] = std::byte{0x7f};
  Floats decoded(64);
  findCodec("nvfp4")->decode(bytes, decoded);
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(decoded[i], i / 16 == 1 ? 0.0f : 6.0f) << i;
}

struct KnownFloat {
  uint8_t code;
  float value;
};

// A scale of one, then the codes.
Floats decodedNumbers(const char* name, const std::vector<uint8_t>& codes) {
  std::vector<std::byte> bytes(sizeof(float) + codes.size());
  bytes[2] = std::byte{0x80};
  bytes[3] = std::byte{0x3f};
  for (size_t i = 0; i < codes.size(); ++i) bytes[sizeof(float) + i] = std::byte(codes[i]);
  Floats decoded(codes.size());
  findCodec(name)->decode(bytes, decoded);
  return decoded;
}

TEST(Float8Codecs, NumbersAreThoseOfTheFormats) {
  const std::vector<KnownFloat> e4m3 = {{0x00, 0},       {0x01, 0x1p-9f}, {0x07, 0x1.cp-7f},
                                        {0x08, 0x1p-6f}, {0x38, 1},       {0x3c, 1.5f},
                                        {0xb9, -1.125f}, {0x7e, 448},     {0xfe, -448}};
  const std::vector<KnownFloat> e5m2 = {{0x00, 0},        {0x01, 0x1p-16f}, {0x03, 0x1.8p-15f},
                                        {0x04, 0x1p-14f}, {0x3c, 1},        {0x3e, 1.5f},
                                        {0xbd, -1.25f},   {0x7b, 57344},    {0xfb, -57344}};
  for (const KnownFloat& known : e4m3) {
    EXPECT_EQ(decodedNumbers("fp8_e4m3", {known.code})[0], known.value) << int(known.code);
  }
  for (const KnownFloat& known : e5m2) {
    EXPECT_EQ(decodedNumbers("fp8_e5m2", {known.code})[0], known.value) << int(known.code);
  }
  EXPECT_TRUE(std::isnan(decodedNumbers("fp8_e4m3", {0x7f})[0]));
  EXPECT_TRUE(std::isinf(decodedNumbers("fp8_e5m2", {0x7c})[0]));
  EXPECT_TRUE(std::isnan(decodedNumbers("fp8_e5m2", {0x7d})[0]));
}

TEST(Float8Codecs, EveryFiniteNumberRoundTripsExactly) {
  for (const char* name : {"fp8_e4m3", "fp8_e5m2"}) {
    std::vector<uint8_t> codes;
    for (int code = 0; code < 256; ++code) {
      if (std::isfinite(decodedNumbers(name, {uint8_t(code)})[0])) codes.push_back(uint8_t(code));
    }
    for (const float scale : {0x1p-12f, 1.0f, 0x1p8f}) {
      Floats row = decodedNumbers(name, codes);
      for (float& value : row) value *= scale;
      EXPECT_EQ(throughCodec(name, row), row) << name << " " << scale;
    }
  }
}

// ±0.5 with a deviation of a tenth of that: the distance from zero costs next to nothing.
// Blocks of random bytes with a finite d (and dmin), taken apart by the layouts' descriptions in
// ggml-common.h of ggml-org.
struct RandomBlock {
  std::vector<uint8_t> bytes;

  RandomBlock(size_t size, std::initializer_list<size_t> halves, std::mt19937& random)
      : bytes(size) {
    for (uint8_t& byte : bytes) byte = uint8_t(random());
    for (const size_t at : halves) bytes[at + 1] = bytes[at + 1] & 0xbf;
  }
  double half(size_t at) const {
    return double(halfToFloat(uint16_t(bytes[at] | bytes[at + 1] << 8)));
  }
  int bits(size_t at, int shift, int count) const {
    return bytes[at] >> shift & ((1 << count) - 1);
  }
  void expect(const char* name, const std::vector<double>& values) const {
    Floats decoded(256);
    findCodec(name)->decode(std::as_bytes(std::span(bytes)), decoded);
    double largest = 0;
    for (const double value : values) largest = std::fmax(largest, std::fabs(value));
    for (size_t i = 0; i < 256; ++i) {
      ASSERT_NEAR(double(decoded[i]), values[i], 1e-6 * largest) << name << " " << i;
    }
  }
};

TEST(KQuants, RandomBlocksDecodeByTheFormula) {
  std::mt19937 random(8);
  for (int round = 0; round < 20; ++round) {
    const RandomBlock q2(84, {80, 82}, random), q3(110, {108}, random), q6(210, {208}, random);
    const RandomBlock q4(144, {0, 2}, random), q5(176, {0, 2}, random);
    std::vector<double> two(256), three(256), four(256), five(256), six(256);
    for (size_t i = 0; i < 256; ++i) {
      const size_t half = i / 128, quarter = i % 128 / 32, column = i % 32, part = i / 16;
      const int pair = q2.bits(16 + 32 * half + column, 2 * int(quarter), 2);
      two[i] = q2.half(80) * q2.bits(part, 0, 4) * pair - q2.half(82) * q2.bits(part, 4, 4);

      const int low = q3.bits(96 + part % 8, part < 8 ? 0 : 4, 4);
      const int scale = (low | q3.bits(104 + part % 4, 2 * int(part / 4), 2) << 4) - 32;
      const int code = q3.bits(32 + 32 * half + column, 2 * int(quarter), 2) |
                       q3.bits(column, int(i / 32), 1) << 2;
      three[i] = q3.half(108) * scale * (code - 4);

      const size_t eighth = i / 32;
      const auto sixBits = [&](const RandomBlock& block, bool minimum) {
        const size_t first = minimum ? 8 : 4;
        if (eighth < 4) return block.bits(first + eighth, 0, 6);
        return block.bits(8 + eighth, minimum ? 4 : 0, 4) | block.bits(first + eighth - 4, 6, 2)
                                                                << 4;
      };
      const size_t nibble = i / 64 * 32 + column;
      const int shift = eighth % 2 == 0 ? 0 : 4;
      four[i] = q4.half(0) * sixBits(q4, false) * q4.bits(16 + nibble, shift, 4) -
                q4.half(2) * sixBits(q4, true);
      const int fifth = q5.bits(16 + column, int(eighth), 1) << 4;
      five[i] = q5.half(0) * sixBits(q5, false) * (q5.bits(48 + nibble, shift, 4) | fifth) -
                q5.half(2) * sixBits(q5, true);

      const int nibble6 = q6.bits(64 * half + i % 64, quarter < 2 ? 0 : 4, 4);
      const int top = q6.bits(128 + 32 * half + column, 2 * int(quarter), 2) << 4;
      six[i] = q6.half(208) * int8_t(q6.bytes[192 + part]) * ((nibble6 | top) - 32);
    }
    q2.expect("q2_k", two);
    q3.expect("q3_k", three);
    q4.expect("q4_k", four);
    q5.expect("q5_k", five);
    q6.expect("q6_k", six);
  }
}

// d, dmin, then a scale and a minimum of six bits for each part.
TEST(KQuants, SixBitNumbersArePackedSoThatTheyComeBack) {
  std::mt19937 random(9);
  for (const char* name : {"q4_k", "q5_k"}) {
    const Codec& codec = *findCodec(name);
    for (int round = 0; round < 50; ++round) {
      std::vector<float> parameters = {1, 1};
      for (int i = 0; i < 16; ++i) parameters.push_back(float(random() % 64));
      std::vector<uint8_t> codes(256);
      for (size_t i = 0; i < 256; ++i) codes[i] = i % 2;
      std::vector<std::byte> bytes(codec.rowBytes(256));
      codec.grid->pack(parameters, codes, bytes);
      Floats decoded(256);
      codec.decode(bytes, decoded);
      for (size_t part = 0; part < 8; ++part) {
        EXPECT_EQ(-decoded[32 * part], parameters[3 + 2 * part]) << name << " " << part;
        EXPECT_EQ(decoded[32 * part + 1] - decoded[32 * part], parameters[2 + 2 * part]);
      }
    }
  }
}

TEST(OffsetCodecs, BlocksOfOneSignUseTheirMinima) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0.5f, 0.05f);
  Floats row(1024);
  for (float& value : row) value = normal(random);
  for (const float sign : {1.0f, -1.0f}) {
    Floats signedRow = row;
    for (float& value : signedRow) value *= sign;
    EXPECT_LT(relativeError(throughCodec("q2_k", signedRow), signedRow), 2e-3) << sign;
    EXPECT_LT(relativeError(throughCodec("q4_k", signedRow), signedRow), 1e-4) << sign;
    EXPECT_LT(relativeError(throughCodec("q5_k", signedRow), signedRow), 3e-5) << sign;
  }
}

}  // namespace
}  // namespace bitloom

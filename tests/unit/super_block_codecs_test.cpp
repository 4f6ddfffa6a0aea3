// SPDX-License-Identifier: GPL-3.0-or-later
// Formats that hold some rows exactly must give those rows back, bit for bit; and blocks of one
// sign must not pay for the sign that they lack.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/codec.h"

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

// SPDX-License-Identifier: GPL-3.0-or-later
// Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1: bytes worked out by hand from the formats' layouts, and decoders
// written here from the value formulas in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/codec.h"
#include "core/half.h"

namespace bitloom {
namespace {

using Floats = std::vector<float>;

std::vector<uint8_t> encode(const char* name, const Floats& row) {
  const Codec& codec = *findCodec(name);
  std::vector<uint8_t> bytes(codec.rowBytes(row.size()), 0xcc);
  codec.encode(row, {}, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

Floats decode(const char* name, const std::vector<uint8_t>& bytes, size_t count = 32) {
  Floats row(count);
  findCodec(name)->decode(std::as_bytes(std::span(bytes)), row);
  return row;
}

// −16 … 15 in steps of 1/16, the numbers that a five-bit grid with d = 1/16 holds exactly.
Floats ramp() {
  Floats row(32);
  for (int j = 0; j < 32; ++j) row[size_t(j)] = float(j - 16) / 16;
  return row;
}

TEST(Q8_0, BytesWorkedOutByHand) {
  Floats row(32, 0.0f);
  row[0] = -254;  // largest: d = 2 = 0x4000
  row[1] = 3;     // 1.5 rounds away from zero
  row[2] = -3;
  row[3] = 2.9f;  // 1.45
  row[31] = 254;
  const std::vector<uint8_t> bytes = encode("q8_0", row);
  EXPECT_EQ(bytes[0], 0x00);
  EXPECT_EQ(bytes[1], 0x40);
  EXPECT_EQ(int8_t(bytes[2]), -127);
  EXPECT_EQ(int8_t(bytes[3]), 2);
  EXPECT_EQ(int8_t(bytes[4]), -2);
  EXPECT_EQ(int8_t(bytes[5]), 1);
  EXPECT_EQ(int8_t(bytes[33]), 127);
  EXPECT_EQ(decode("q8_0", bytes)[1], 4.0f);
}

// Nothing is clipped: |error| ≤ d/2, and what rounding d to fp16 costs: 2⁻¹¹ of the largest.
TEST(Q8_0, ErrorIsAtMostHalfAStep) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Floats row(3200);
  for (float& value : row) value = uniform(random);
  const Floats decoded = decode("q8_0", encode("q8_0", row), row.size());
  for (size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(decoded[i], row[i], 0.5001f / 127 + 0x1p-11f);
}

TEST(Q4_0, BytesWorkedOutByHand) {
  const std::vector<uint8_t> bytes = encode("q4_0", ramp());
  // Largest magnitude −1 lands on code 0: d = 1/8 = 0x3000. Code of (j−16)/16 is trunc(j/2 + ½).
  EXPECT_EQ(bytes[0], 0x00);
  EXPECT_EQ(bytes[1], 0x30);
  EXPECT_EQ(bytes[2], 0x80);   // elements 0 and 16: codes 0, 8
  EXPECT_EQ(bytes[3], 0x91);   // 1 → trunc(1.0), 17 → trunc(9.0)
  EXPECT_EQ(bytes[5], 0xa2);   // 3 → 2, 19 → 10
  EXPECT_EQ(bytes[17], 0xf8);  // 15 → 8, 31 → 16, clamped to 15
}

TEST(Q4_0, APositivePeakMakesANegativeScale) {
  Floats row(32, 0.0f);
  row[4] = 1;
  const std::vector<uint8_t> bytes = encode("q4_0", row);
  EXPECT_EQ(bytes[1], 0xb0);  // d = −1/8
  EXPECT_EQ(bytes[2 + 4], 0x80);
  EXPECT_EQ(decode("q4_0", bytes), row);
}

TEST(Q5_0, BytesWorkedOutByHand) {
  const Floats row = ramp();
  const std::vector<uint8_t> bytes = encode("q5_0", row);  // d = 1/16 = 0x2c00, code j
  const uint8_t head[] = {0x00, 0x2c, 0x00, 0x00, 0xff, 0xff};
  EXPECT_TRUE(std::equal(std::begin(head), std::end(head), bytes.begin()));
  for (unsigned j = 0; j < 16; ++j) EXPECT_EQ(bytes[6 + j], j | j << 4) << j;
  EXPECT_EQ(decode("q5_0", bytes), row);
}

TEST(Q4_1, BytesWorkedOutByHand) {
  Floats row(32);
  for (int j = 0; j < 32; ++j) row[size_t(j)] = 2.0f + 0.5f * float(j % 16);
  const std::vector<uint8_t> bytes = encode("q4_1", row);  // d = ½ = 0x3800, m = 2 = 0x4000
  const uint8_t head[] = {0x00, 0x38, 0x00, 0x40};
  EXPECT_TRUE(std::equal(std::begin(head), std::end(head), bytes.begin()));
  for (unsigned j = 0; j < 16; ++j) EXPECT_EQ(bytes[4 + j], j | j << 4) << j;
  EXPECT_EQ(decode("q4_1", bytes), row);
}

TEST(Q5_1, BytesWorkedOutByHand) {
  Floats row(32);
  for (int j = 0; j < 32; ++j) row[size_t(j)] = -1.0f + 0.25f * float(31 - j);
  const std::vector<uint8_t> bytes = encode("q5_1", row);  // d = ¼ = 0x3400, m = −1 = 0xbc00
  const uint8_t head[] = {0x00, 0x34, 0x00, 0xbc, 0xff, 0xff, 0x00, 0x00};
  EXPECT_TRUE(std::equal(std::begin(head), std::end(head), bytes.begin()));
  for (unsigned j = 0; j < 16; ++j) EXPECT_EQ(bytes[8 + j], (15 - j) | (15 - j) << 4) << j;
  EXPECT_EQ(decode("q5_1", bytes), row);
}

TEST(Q5_1, ConstantBlocksNeedNoScale) {
  const Floats row(32, 0.75f);
  const std::vector<uint8_t> bytes = encode("q5_1", row);
  EXPECT_EQ(bytes[0] | bytes[1], 0);
  EXPECT_EQ(decode("q5_1", bytes), row);
}

// The value formulas, bit by bit.
struct Layout {
  const char* name;
  int bits;
  bool minimum;
};

class AffineLayouts : public testing::TestWithParam<Layout> {};

TEST_P(AffineLayouts, RandomBytesDecodeByTheFormula) {
  const Layout layout = GetParam();
  std::mt19937 random(3);
  const size_t head = layout.minimum ? 4 : 2;
  const size_t low = head + (layout.bits == 5 ? 4 : 0);
  for (int round = 0; round < 20; ++round) {
    std::vector<uint8_t> bytes(findCodec(layout.name)->rowBytes(32));
    ASSERT_EQ(bytes.size(), low + 16);
    for (uint8_t& byte : bytes) byte = uint8_t(random());
    bytes[1] = bytes[1] & 0xbf;  // finite scales
    if (layout.minimum) bytes[3] = bytes[3] & 0xbf;
    const double d = double(halfToFloat(uint16_t(bytes[0] | bytes[1] << 8)));
    const double m = layout.minimum ? double(halfToFloat(uint16_t(bytes[2] | bytes[3] << 8))) : 0.0;
    const Floats decoded = decode(layout.name, bytes);
    for (size_t j = 0; j < 32; ++j) {
      int code = bytes[low + j % 16] >> (j < 16 ? 0 : 4) & 15;
      if (layout.bits == 5) code |= (bytes[head + j / 8] >> (j % 8) & 1) << 4;
      const int zero = layout.minimum ? 0 : 1 << (layout.bits - 1);
      const double expected = d * (code - zero) + m;
      ASSERT_NEAR(double(decoded[j]), expected, 1e-6 * (std::fabs(d) * 32 + std::fabs(m))) << j;
    }
  }
}

void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }
INSTANTIATE_TEST_SUITE_P(All, AffineLayouts,
                         testing::Values(Layout{"q4_0", 4, false}, Layout{"q4_1", 4, true},
                                         Layout{"q5_0", 5, false}, Layout{"q5_1", 5, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(F16, FiniteWeightsNeverBecomeInfinite) {
  const Floats decoded = decode("f16", encode("f16", {1e6f, -1e6f, 1.0f, 65504.0f}), 4);
  EXPECT_EQ(decoded, (Floats{65504.0f, -65504.0f, 1.0f, 65504.0f}));
  EXPECT_EQ(encode("f16", {1.0f, -2.0f}), (std::vector<uint8_t>{0x00, 0x3c, 0x00, 0xc0}));
}

TEST(Bf16, FiniteWeightsNeverBecomeInfinite) {
  const Floats decoded = decode("bf16", encode("bf16", {3.4028234e38f, 1.0f}), 2);
  EXPECT_TRUE(std::isfinite(decoded[0]));
  EXPECT_EQ(encode("bf16", {1.0f, -2.0f}), (std::vector<uint8_t>{0x80, 0x3f, 0x00, 0xc0}));
}

TEST(F32, IsTheFloatItself) {
  const Floats row = {1.0f, -0.0f, 1e-45f, 3.4028234e38f};
  EXPECT_EQ(decode("f32", encode("f32", row), 4), row);
  EXPECT_EQ(encode("f32", {1.0f}), (std::vector<uint8_t>{0x00, 0x00, 0x80, 0x3f}));
}

}  // namespace
}  // namespace bitloom

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
  }
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

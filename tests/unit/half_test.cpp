// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace bitloom {
namespace {

// IEEE 754 binary16 from its definition, in double precision.
double valueOfHalf(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  const double sign = half >> 15 ? -1 : 1;
  if (exponent == 31) {
    return fraction ? std::numeric_limits<double>::quiet_NaN()
                    : sign * std::numeric_limits<double>::infinity();
  }
  return sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24));
}

// The nearest half of a positive value by searching the ordered list of halves; a tie goes to the
// even pattern. 65536 stands for infinity, as rounding treats it.
uint16_t nearestHalf(double value) {
  uint16_t low = 0;
  uint16_t high = 0x7c00;
  while (high - low > 1) {
    const uint16_t middle = uint16_t((low + high) / 2);
    (valueOfHalf(middle) <= value ? low : high) = middle;
  }
  const double top = high == 0x7c00 ? 65536 : valueOfHalf(high);
  const double below = value - valueOfHalf(low);
  const double above = top - value;
  if (below != above) return below < above ? low : high;
  return low % 2 == 0 ? low : high;
}

TEST(Half, EveryPatternConvertsToItsValueAndBack) {
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const uint16_t half = uint16_t(pattern);
    const float value = halfToFloat(half);
    const double expected = valueOfHalf(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << pattern;
      EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(value)))) << pattern;
      continue;
    }
    ASSERT_EQ(double(value), expected) << pattern;
    ASSERT_EQ(std::signbit(value), pattern >> 15 != 0) << pattern;
    ASSERT_EQ(floatToHalf(value), half) << pattern;
  }
}

TEST(Half, MidpointsAndTheirNeighboursRoundToNearestEven) {
  for (uint32_t pattern = 0; pattern < 0x7c00; ++pattern) {
    const double next = pattern == 0x7bff ? 65536 : valueOfHalf(uint16_t(pattern + 1));
    const float middle = float((valueOfHalf(uint16_t(pattern)) + next) / 2);  // exact
    for (const float value : {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 1e9f)}) {
      const uint16_t expected = nearestHalf(double(value));
      ASSERT_EQ(floatToHalf(value), expected) << value;
      ASSERT_EQ(floatToHalf(-value), expected | 0x8000) << value;
    }
  }
}

TEST(Half, RandomFloatsRoundToTheNearest) {
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    const float value = std::bit_cast<float>(uint32_t(random()) & 0x7fffffffu);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(floatToHalf(value), nearestHalf(std::fmin(double(value), 65536.0))) << value;
  }
}

TEST(Half, SpecialValuesKeepTheirMeaning) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(floatToHalf(infinity), 0x7c00);
  EXPECT_EQ(floatToHalf(-infinity), 0xfc00);
  EXPECT_EQ(floatToHalf(65519.99f), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(floatToHalf(-0.0f), 0x8000);
  EXPECT_EQ(floatToHalf(0x1p-25f), 0x0000);  // tie to even
  EXPECT_EQ(floatToHalf(std::nextafter(0x1p-25f, 1.0f)), 0x0001);
  EXPECT_EQ(floatToHalfClamped(1e30f), 0x7bff);
  EXPECT_EQ(floatToHalfClamped(-infinity), 0xfbff);
  EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isfinite(halfToFloat(floatToHalfClamped(std::nanf("")))));
}

// A bfloat is the upper half of a float: the two candidates differ by one in that half.
TEST(Bfloat, RoundsToTheNearestEven) {
  std::mt19937 random(2);
  for (int i = 0; i < 200000; ++i) {
    uint32_t bits = uint32_t(random());
    if (i % 4 == 0) bits = (bits & 0xffff0000u) | 0x8000u;  // ties
    const float value = std::bit_cast<float>(bits);
    if (!std::isfinite(value)) continue;
    const uint16_t low = uint16_t(bits >> 16);
    const double below = std::fabs(double(value) - double(bfloatToFloat(low)));
    const float upper = bfloatToFloat(uint16_t(low + 1));
    if (!std::isfinite(upper)) continue;
    const double above = std::fabs(double(upper) - double(value));
    const bool up = above < below || (above == below && low % 2 == 1);
    ASSERT_EQ(floatToBfloat(value), uint16_t(low + up)) << bits;
  }
  EXPECT_EQ(floatToBfloat(1.0f), 0x3f80);
  EXPECT_EQ(floatToBfloat(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(bfloatToFloat(floatToBfloat(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_EQ(bfloatToFloat(0xc040), -3.0f);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Every table of kernels against loops in double precision, on sizes around every block border.
#include "kernels/cpu/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace bitloom {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> randomFloats(size_t count, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

class Kernels : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    m_table = findCpuKernels(GetParam());
    if (m_table == nullptr) GTEST_SKIP() << "this processor does not run " << GetParam();
  }
  const CpuKernels& table() const { return *m_table; }

 private:
  const CpuKernels* m_table = nullptr;
};

std::vector<float> multiply(const CpuKernels& table, const std::vector<float>& a,
                            const std::vector<float>& b, size_t m, size_t n, size_t k) {
  std::vector<float> c(m * n, 1e30f);
  table.gemm({a.data(), k, b.data(), k, c.data(), n, m, n, k});
  return c;
}

TEST_P(Kernels, NameIsTheOneAskedFor) { EXPECT_STREQ(table().name, GetParam()); }

TEST_P(Kernels, ProductAgreesWithDoubleLoopAtEverySizeOfEdge) {
  const size_t panel = table().gemmColumns;
  for (size_t m : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 17u}) {
    for (size_t n : {size_t(1), size_t(3), size_t(4), size_t(5), panel - 1, panel, panel + 1}) {
      for (size_t k : {0u, 1u, 3u, 4u, 7u, 191u, 192u, 193u, 400u}) {
        const auto a = randomFloats(m * k, 1);
        const auto b = randomFloats(n * k, 2);
        const auto c = multiply(table(), a, b, m, n, k);
        for (size_t i = 0; i < m; ++i) {
          for (size_t j = 0; j < n; ++j) {
            double sum = 0;
            double size = 0;
            for (size_t x = 0; x < k; ++x) {
              const double term = double(a[i * k + x]) * double(b[j * k + x]);
              sum += term;
              size += std::fabs(term);
            }
            ASSERT_NEAR(c[i * n + j], sum, 4e-6 * size + 1e-12)
                << m << " × " << n << " × " << k << " at " << i << ", " << j;
          }
        }
      }
    }
  }
}

TEST_P(Kernels, GradientProductsAgreeWithDoubleLoops) {
  for (const size_t rows : {1u, 3u, 7u, 8u, 9u, 32u}) {
    for (const size_t columns : {1u, 15u, 47u, 48u, 49u, 64u, 130u}) {
      for (const size_t tokens : {1u, 2u, 31u}) {
        constexpr size_t kCount = 3;
        const size_t inStride = columns + 3, outStride = rows + 5;
        const auto in = randomFloats(tokens * inStride, 1);
        const auto out = randomFloats(tokens * outStride, 2);
        const auto changes = randomFloats(kCount * rows * columns, 3);
        double products[kCount] = {1, 2, 3};
        table().gradientProducts({in.data(), inStride, out.data(), outStride, tokens, rows, columns,
                                  changes.data(), kCount, products});
        for (size_t c = 0; c < kCount; ++c) {
          double sum = double(c) + 1;
          double size = sum;
          for (size_t r = 0; r < rows; ++r) {
            for (size_t i = 0; i < columns; ++i) {
              const double change = double(changes[(c * rows + r) * columns + i]);
              for (size_t t = 0; t < tokens; ++t) {
                const double term =
                    change * double(out[t * outStride + r]) * double(in[t * inStride + i]);
                sum += term;
                size += std::fabs(term);
              }
            }
          }
          ASSERT_NEAR(products[c], sum, 1e-6 * size) << rows << " × " << columns << ", " << tokens;
        }
      }
    }
  }
}

TEST_P(Kernels, ProductOfNoRowsOrColumnsWritesNothing) {
  const auto a = randomFloats(8, 1);
  float untouched = 7;
  table().gemm({a.data(), 4, a.data(), 4, &untouched, 1, 0, 1, 4});
  table().gemm({a.data(), 4, a.data(), 4, &untouched, 1, 1, 0, 4});
  EXPECT_EQ(untouched, 7);
}

TEST_P(Kernels, ProductDoesNotDependOnWhatIsComputedWithIt) {
  const size_t m = 37, n = 131, k = 450;
  const auto a = randomFloats(m * k, 3);
  const auto b = randomFloats(n * k, 4);
  const auto whole = multiply(table(), a, b, m, n, k);
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; j += 13) {
      float alone = 0;
      table().gemm({&a[i * k], k, &b[j * k], k, &alone, 1, 1, 1, k});
      ASSERT_EQ(std::bit_cast<uint32_t>(alone), std::bit_cast<uint32_t>(whole[i * n + j]));
    }
  }
}

TEST_P(Kernels, ProductHonoursStrides) {
  const size_t m = 5, n = 6, k = 7, stride = 11;
  const auto a = randomFloats(m * stride, 5);
  const auto b = randomFloats(n * stride, 6);
  std::vector<float> c(m * stride, 9);
  table().gemm({a.data(), stride, b.data(), stride, c.data(), stride, m, n, k});
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (size_t x = 0; x < k; ++x) sum += double(a[i * stride + x]) * double(b[j * stride + x]);
      EXPECT_NEAR(c[i * stride + j], sum, 1e-5);
    }
    // Columns past n belong to someone else.
    for (size_t j = n; j < stride; ++j) EXPECT_EQ(c[i * stride + j], 9.0f);
  }
}

TEST_P(Kernels, AttentionOfOneTokenAgreesWithDoubleLoop) {
  for (const size_t keyWidth : {1u, 8u, 15u, 64u, 80u, 128u, 200u}) {
    for (const size_t positions : {1u, 2u, 31u, 130u}) {
      const size_t valueWidth = keyWidth == 80 ? 33 : keyWidth;
      const size_t heads = 3, stride = 2 * std::max(keyWidth, valueWidth) + 1;
      const auto queries = randomFloats(heads * keyWidth, 41);
      std::vector<uint16_t> keys(positions * stride), values(positions * stride);
      const auto keyFloats = randomFloats(keys.size(), 42);
      const auto valueFloats = randomFloats(values.size(), 43);
      table().f32ToF16(keys.data(), keyFloats.data(), keys.size());
      table().f32ToF16(values.data(), valueFloats.data(), values.size());
      std::vector<float> out(heads * valueWidth + 1, 5), scores(heads * positions);
      table().attendOne({.queries = queries.data(),
                         .heads = heads,
                         .keys = keys.data(),
                         .keyStride = stride,
                         .values = values.data(),
                         .valueStride = stride,
                         .positions = positions,
                         .headWidth = keyWidth,
                         .valueWidth = valueWidth,
                         .scale = 0.3f,
                         .out = out.data(),
                         .scores = scores.data()});
      const auto widened = [](uint16_t half) {
        _Float16 value;
        std::memcpy(&value, &half, sizeof value);
        return double(value);
      };
      for (size_t head = 0; head < heads; ++head) {
        std::vector<double> weights(positions);
        double sum = 0;
        for (size_t p = 0; p < positions; ++p) {
          double score = 0;
          for (size_t i = 0; i < keyWidth; ++i) {
            score += double(queries[head * keyWidth + i]) * widened(keys[p * stride + i]);
          }
          sum += weights[p] = std::exp(double(0.3f) * score);
        }
        for (size_t i = 0; i < valueWidth; ++i) {
          double mixed = 0;
          for (size_t p = 0; p < positions; ++p) {
            mixed += weights[p] / sum * widened(values[p * stride + i]);
          }
          ASSERT_NEAR(out[head * valueWidth + i], mixed, 2e-5) << keyWidth << ", " << positions;
        }
      }
      EXPECT_EQ(out.back(), 5.0f);
    }
  }
}

TEST_P(Kernels, ExponentialIsWithinTwoUnitsInTheLastPlace) {
  std::vector<float> x;
  for (float v = -87.3f; v < 88.7f; v += 0.0137f) x.push_back(v);
  for (float v : {0.0f, -0.0f, 1e-30f, 88.72283f, -87.33654f}) x.push_back(v);
  std::vector<float> y(x.size());
  table().exp(y.data(), x.data(), x.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(double(x[i]));
    const float nearest = static_cast<float>(exact);
    const double unit = double(std::nextafter(nearest, kInfinity)) - double(nearest);
    worst = std::max(worst, std::fabs(double(y[i]) - exact) / unit);
  }
  EXPECT_LT(worst, 2.0);
  EXPECT_GT(x.size(), 10000u);
}

TEST_P(Kernels, ExponentialAtTheEndsOfItsRange) {
  const std::vector<float> x = {89, kInfinity, -88, -kInfinity, std::nanf("")};
  std::vector<float> y(x.size());
  table().exp(y.data(), x.data(), x.size());
  EXPECT_EQ(y[0], kInfinity);
  EXPECT_EQ(y[1], kInfinity);
  EXPECT_EQ(y[2], 0);
  EXPECT_EQ(y[3], 0);
  EXPECT_TRUE(std::isnan(y[4]));
}

TEST_P(Kernels, RmsNormAgreesWithDoubleLoop) {
  for (size_t n : {1u, 3u, 4u, 5u, 15u, 16u, 17u, 64u, 576u}) {
    const auto x = randomFloats(n, 7, 3);
    const auto w = randomFloats(n, 8);
    std::vector<float> y(n);
    table().rmsNorm(y.data(), x.data(), w.data(), n, 1e-5f);
    double squares = 0;
    for (float v : x) squares += double(v) * double(v);
    const double factor = 1 / std::sqrt(squares / double(n) + 1e-5);
    for (size_t i = 0; i < n; ++i) {
      const double expected = double(x[i]) * factor * double(w[i]);
      ASSERT_NEAR(y[i], expected, 1e-6 * std::fabs(expected) + 1e-9) << n;
    }
  }
}

TEST_P(Kernels, SoftmaxAgreesWithDoubleLoop) {
  for (size_t n : {1u, 2u, 3u, 4u, 5u, 15u, 16u, 17u, 33u, 513u}) {
    auto x = randomFloats(n, 9, 5);
    if (n > 2) x[1] = -kInfinity;
    auto y = x;
    table().softmax(y.data(), n);
    const double most = double(*std::max_element(x.begin(), x.end()));
    double sum = 0;
    for (float v : x) sum += std::exp(double(v) - most);
    for (size_t i = 0; i < n; ++i) {
      const double expected = std::exp(double(x[i]) - most) / sum;
      ASSERT_NEAR(y[i], expected, 2e-6 * expected + 1e-30) << n;
    }
  }
}

TEST_P(Kernels, SoftmaxOfNothingButMinusInfinityIsZero) {
  std::vector<float> row(19, -kInfinity);
  table().softmax(row.data(), row.size());
  for (float v : row) EXPECT_EQ(v, 0);
}

TEST_P(Kernels, GatesAgreeWithDoubleLoops) {
  for (size_t n : {0u, 1u, 4u, 7u, 16u, 33u}) {
    auto gate = randomFloats(n, 10, 4);
    const auto up = randomFloats(n, 11);
    if (n > 4) gate[3] = -120;
    std::vector<float> silu(n), gelu(n);
    table().siluGate(silu.data(), gate.data(), up.data(), n);
    table().geluGate(gelu.data(), gate.data(), up.data(), n);
    for (size_t i = 0; i < n; ++i) {
      const double g = double(gate[i]);
      const double u = double(up[i]);
      const double z = std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g);
      EXPECT_NEAR(silu[i], g / (1 + std::exp(-g)) * u, 3e-6);
      EXPECT_NEAR(gelu[i], 0.5 * g * (1 + std::tanh(z)) * u, 6e-6);
    }
  }
}

TEST_P(Kernels, AddAndScaleAreExact) {
  for (size_t n : {0u, 1u, 3u, 4u, 5u, 15u, 16u, 17u, 31u}) {
    const auto x = randomFloats(n, 12);
    const auto y = randomFloats(n, 13);
    std::vector<float> sum(n + 1, 5), scaled(n + 1, 5);
    table().add(sum.data(), x.data(), y.data(), n);
    table().scale(scaled.data(), x.data(), 0.3f, n);
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(sum[i], x[i] + y[i]);
      EXPECT_EQ(scaled[i], x[i] * 0.3f);
    }
    EXPECT_EQ(sum[n], 5);
    EXPECT_EQ(scaled[n], 5);
  }
}

TEST_P(Kernels, RopeTurnsPairsAndLeavesTheRest) {
  const size_t width = 10, pairs = 3, heads = 2;
  const auto original = randomFloats(width * heads, 14);
  std::vector<float> cosines, sines;
  for (float angle : {0.1f, 2.0f, 3.0f}) {
    cosines.push_back(std::cos(angle));
    sines.push_back(std::sin(angle));
  }
  for (bool adjacent : {true, false}) {
    auto turned = original;
    table().rope({turned.data(), heads, width, pairs, cosines.data(), sines.data(), adjacent});
    for (size_t h = 0; h < heads; ++h) {
      const float* from = &original[h * width];
      const float* to = &turned[h * width];
      for (size_t i = 0; i < pairs; ++i) {
        const size_t x = adjacent ? 2 * i : i;
        const size_t y = adjacent ? 2 * i + 1 : i + pairs;
        EXPECT_NEAR(to[x], from[x] * cosines[i] - from[y] * sines[i], 1e-6);
        EXPECT_NEAR(to[y], from[x] * sines[i] + from[y] * cosines[i], 1e-6);
      }
      for (size_t i = 2 * pairs; i < width; ++i) EXPECT_EQ(to[i], from[i]);
    }
  }
}

struct Head {
  size_t first, count, headWidth, valueWidth;
};

std::vector<float> attend(const CpuKernels& table, const Head& h, const std::vector<float>& q,
                          const std::vector<float>& k, const std::vector<float>& v) {
  std::vector<float> out(h.count * h.valueWidth);
  std::vector<float> scratch(h.count * (h.first + h.count));
  table.attention({.queries = q.data(),
                   .queryStride = h.headWidth,
                   .keys = k.data(),
                   .keyStride = h.headWidth,
                   .values = v.data(),
                   .valueStride = h.valueWidth,
                   .out = out.data(),
                   .outStride = h.valueWidth,
                   .count = h.count,
                   .firstPosition = h.first,
                   .headWidth = h.headWidth,
                   .valueWidth = h.valueWidth,
                   .scale = 0.3f,
                   .scratch = scratch.data()});
  return out;
}

TEST_P(Kernels, AttentionAgreesWithDoubleLoop) {
  for (const Head& h : {Head{0, 1, 8, 8}, Head{0, 5, 8, 4}, Head{3, 2, 7, 9}, Head{250, 9, 64, 64},
                        Head{190, 3, 16, 50}}) {
    const size_t positions = h.first + h.count;
    const auto q = randomFloats(h.count * h.headWidth, 15);
    const auto k = randomFloats(positions * h.headWidth, 16);
    const auto v = randomFloats(positions * h.valueWidth, 17);
    const auto out = attend(table(), h, q, k, v);
    for (size_t i = 0; i < h.count; ++i) {
      std::vector<double> p(h.first + i + 1);
      double sum = 0;
      for (size_t j = 0; j < p.size(); ++j) {
        double dot = 0;
        for (size_t x = 0; x < h.headWidth; ++x) {
          dot += double(q[i * h.headWidth + x]) * double(k[j * h.headWidth + x]);
        }
        p[j] = std::exp(dot * 0.3);
        sum += p[j];
      }
      for (size_t x = 0; x < h.valueWidth; ++x) {
        double expected = 0;
        for (size_t j = 0; j < p.size(); ++j) {
          expected += p[j] / sum * double(v[j * h.valueWidth + x]);
        }
        ASSERT_NEAR(out[i * h.valueWidth + x], expected, 3e-6);
      }
    }
  }
}

TEST_P(Kernels, AttentionOfAQueryDoesNotDependOnItsNeighbours) {
  const Head all{0, 210, 24, 20};
  const auto q = randomFloats(all.count * all.headWidth, 18);
  const auto k = randomFloats(all.count * all.headWidth, 19);
  const auto v = randomFloats(all.count * all.valueWidth, 20);
  const auto together = attend(table(), all, q, k, v);
  for (size_t i = 0; i < all.count; ++i) {
    const std::vector<float> query(&q[i * all.headWidth], &q[(i + 1) * all.headWidth]);
    const auto alone = attend(table(), {i, 1, all.headWidth, all.valueWidth}, query, k, v);
    ASSERT_EQ(std::memcmp(alone.data(), &together[i * all.valueWidth], alone.size() * 4), 0) << i;
  }
}

TEST_P(Kernels, HalfPrecisionReadsAllBitPatternsAndWritesThemBack) {
  std::vector<uint16_t> halves(65536), back(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> values(halves.size());
  table().f16ToF32(values.data(), halves.data(), halves.size());
  table().f32ToF16(back.data(), values.data(), values.size());
  for (size_t i = 0; i < halves.size(); ++i) {
    const int exponent = static_cast<int>(i >> 10 & 31);
    const double sign = i >> 15 ? -1 : 1;
    const double fraction = double(i & 1023) / 1024;
    if (exponent == 31) continue;
    const double expected =
        exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
    ASSERT_EQ(double(values[i]), sign * expected) << i;
    ASSERT_EQ(back[i], halves[i]);
  }
  EXPECT_EQ(values[0x7c00], kInfinity);
  EXPECT_TRUE(std::isnan(values[0x7e00]));
}

TEST_P(Kernels, HalfPrecisionRoundsToNearestEvenInEveryLane) {
  const std::vector<float> x = {
      1.0f + 1.0f / 2048, 1.0f + 3.0f / 2048, 65519, 65520, -65520, 1e-9f, 1.0f + 1.0f / 2048,
      1.0f + 3.0f / 2048, 1.0f + 1.0f / 2048};
  const std::vector<uint16_t> expected = {0x3c00, 0x3c02, 0x7bff, 0x7c00, 0xfc00,
                                          0,      0x3c00, 0x3c02, 0x3c00};
  std::vector<uint16_t> halves(x.size());
  table().f32ToF16(halves.data(), x.data(), x.size());
  EXPECT_EQ(halves, expected);
}

INSTANTIATE_TEST_SUITE_P(EveryTarget, Kernels, testing::Values("scalar", "avx2", "avx512", "amx"),
                         [](const auto& target) { return std::string(target.param); });

TEST(CpuKernels, UnknownTableIsNull) { EXPECT_EQ(findCpuKernels("mmx"), nullptr); }

TEST(CpuKernels, ChosenTableRunsHere) {
  EXPECT_EQ(findCpuKernels(cpuKernels().name), &cpuKernels());
}

}  // namespace
}  // namespace bitloom

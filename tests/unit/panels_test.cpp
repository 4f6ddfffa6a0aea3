// SPDX-License-Identifier: GPL-3.0-or-later
// Panels and tiles of every table against sums in double precision over what the codec decodes.
#include "kernels/cpu/panels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/codec.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

std::vector<float> randomFloats(size_t count, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

struct Weights {
  size_t rows = 0;
  size_t k = 0;
  std::vector<std::byte> bytes;
  std::vector<float> decoded;
};

Weights encodeRandom(const Codec& codec, size_t rows, size_t k, uint32_t seed) {
  Weights weights{rows, k, {}, std::vector<float>(rows * k)};
  const auto values = randomFloats(rows * k, seed, 0.05f);
  const size_t rowBytes = codec.rowBytes(k);
  weights.bytes.resize(rows * rowBytes);
  for (size_t row = 0; row < rows; ++row) {
    const auto bytes = std::span(weights.bytes).subspan(row * rowBytes, rowBytes);
    codec.encode(std::span(values).subspan(row * k, k), {}, bytes);
    codec.decode(bytes, std::span(weights.decoded).subspan(row * k, k));
  }
  return weights;
}

// R·a, by its definition.
std::vector<float> rotated(const std::vector<float>& a) {
  std::vector<float> result(a.size());
  for (size_t first = 0; first < a.size(); first += 32) {
    for (uint32_t i = 0; i < 32; ++i) {
      double sum = 0;
      for (uint32_t j = 0; j < 32; ++j) {
        const bool negative =
            ((j * 0x9E3779B9u) >> 31 != 0) != (__builtin_popcount(i & j) % 2 != 0);
        sum += negative ? -double(a[first + j]) : double(a[first + j]);
      }
      result[first + i] = float(sum / std::sqrt(32.0));
    }
  }
  return result;
}

struct Rounded {
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<int32_t> sums;
  std::vector<float> values;  // scale · code
  RoundedActivations view() { return {codes.data(), scales.data(), sums.data()}; }
};

Rounded round(const CpuKernels& table, const std::vector<float>& a, size_t tokens, size_t k) {
  Rounded result{std::vector<int8_t>(tokens * k), std::vector<float>(tokens * k / 32),
                 std::vector<int32_t>(tokens * k / 8), std::vector<float>(tokens * k)};
  for (size_t t = 0; t < tokens; ++t) {
    table.roundActivations(&a[t * k], k, &result.codes[t * k], &result.scales[t * k / 32],
                           &result.sums[t * k / 8]);
  }
  for (size_t i = 0; i < a.size(); ++i) {
    result.values[i] = result.scales[i / 32] * float(result.codes[i]);
  }
  return result;
}

std::vector<uint8_t> pack(const PanelCodec& panel, const Codec& codec, const Weights& weights) {
  const size_t bytes = panel.panelBytes(weights.k);
  const size_t panels = (weights.rows + kPanelRows - 1) / kPanelRows;
  std::vector<uint8_t> packed(bytes * panels);
  const size_t rowBytes = codec.rowBytes(weights.k);
  for (size_t i = 0; i < panels; ++i) {
    const size_t row = i * kPanelRows;
    panel.pack({.bytes = reinterpret_cast<const uint8_t*>(weights.bytes.data()) + row * rowBytes,
                .rowBytes = rowBytes,
                .rows = std::min(kPanelRows, weights.rows - row),
                .k = weights.k},
               &packed[i * bytes]);
  }
  return packed;
}

class Panels : public testing::TestWithParam<std::tuple<const char*, const Codec*>> {
 protected:
  void SetUp() override {
    m_table = findCpuKernels(std::get<0>(GetParam()));
    if (m_table == nullptr) {
      GTEST_SKIP() << "this processor does not run " << std::get<0>(GetParam());
    }
    for (size_t i = 0; i < m_table->panelCodecCount; ++i) {
      if (m_table->panelCodecs[i].name == codec().name) m_panel = &m_table->panelCodecs[i];
    }
    if (m_panel == nullptr) GTEST_SKIP() << codec().name << " has no panels";
  }
  const CpuKernels& table() const { return *m_table; }
  const Codec& codec() const { return *std::get<1>(GetParam()); }
  const PanelCodec& panel() const { return *m_panel; }

 private:
  const CpuKernels* m_table = nullptr;
  const PanelCodec* m_panel = nullptr;
};

TEST_P(Panels, ProductsAreThoseOfDecodedWeightsAndRoundedActivations) {
  for (const size_t k : {size_t(64), size_t(192), size_t(256), size_t(768)}) {
    const size_t bytes = panel().panelBytes(k);
    ASSERT_EQ(bytes != 0, codec().rowBytes(k) != 0) << k;
    if (bytes == 0) continue;
    for (const size_t rows : {1u, 15u, 16u, 17u, 33u}) {
      const Weights weights = encodeRandom(codec(), rows, k, 3);
      const auto packed = pack(panel(), codec(), weights);
      for (const size_t tokens : {0u, 1u, 2u, 3u, 7u, 8u, 9u}) {
        const auto activations = randomFloats(tokens * k, 5);
        const auto seen = panel().rotated ? rotated(activations) : activations;
        Rounded input = round(table(), seen, tokens, k);
        const size_t stride = rows + 3;
        std::vector<float> out(tokens * stride + 1, 7);
        panel().multiply({.panels = packed.data(),
                          .panelCount = (rows + 15) / 16,
                          .input = input.view(),
                          .activations = seen.data(),
                          .tokens = tokens,
                          .k = k,
                          .out = out.data(),
                          .outStride = stride,
                          .rows = rows});
        const auto used = panel().integer ? input.values : seen;
        for (size_t t = 0; t < tokens; ++t) {
          const std::vector<float> token(used.begin() + long(t * k),
                                         used.begin() + long((t + 1) * k));
          for (size_t r = 0; r < rows; ++r) {
            std::vector<float> row(&weights.decoded[r * k], &weights.decoded[r * k] + k);
            if (panel().rotated) row = rotated(row);
            double sum = 0, size = 0, largest = 0;
            for (size_t i = 0; i < k; ++i) {
              sum += double(row[i]) * double(token[i]);
              size += std::fabs(double(row[i]) * double(token[i]));
              largest = std::max(largest, std::fabs(double(row[i])));
            }
            double bound = 4e-6 * size + 1e-12;
            for (const float a : token) bound += std::fabs(a) * largest * panel().tableError;
            ASSERT_NEAR(out[t * stride + r], sum, bound)
                << tokens << " tokens, row " << r << " of " << rows << ", k " << k;
          }
          for (size_t r = rows; r < stride; ++r) ASSERT_EQ(out[t * stride + r], 7.0f);
        }
        ASSERT_EQ(out.back(), 7.0f);
      }
    }
  }
}

TEST_P(Panels, ATokenDoesNotDependOnOthersInItsBatch) {
  const size_t k = 256, rows = 20, tokens = 13;
  const Weights weights = encodeRandom(codec(), rows, k, 7);
  const auto packed = pack(panel(), codec(), weights);
  const auto activations = randomFloats(tokens * k, 9);
  Rounded input = round(table(), activations, tokens, k);
  const auto run = [&](size_t first, size_t count) {
    std::vector<float> out(count * rows);
    panel().multiply({.panels = packed.data(),
                      .panelCount = 2,
                      .input = {&input.codes[first * k], &input.scales[first * k / 32],
                                &input.sums[first * k / 8]},
                      .activations = &activations[first * k],
                      .tokens = count,
                      .k = k,
                      .out = out.data(),
                      .outStride = rows,
                      .rows = rows});
    return out;
  };
  const auto all = run(0, tokens);
  for (size_t t = 0; t < tokens; ++t) {
    const auto alone = run(t, 1);
    for (size_t r = 0; r < rows; ++r) ASSERT_EQ(alone[r], all[t * rows + r]) << t << ", " << r;
  }
}

TEST_P(Panels, TilesHoldTheWeightsAsBfloat16) {
  if (panel().expand == nullptr) GTEST_SKIP() << "no matrix unit in this table";
  const TileKernels& tiles = *table().tiles;
  const size_t k = 256, rows = 32, tokens = 5;
  const Weights weights = encodeRandom(codec(), rows, k, 11);
  const auto packed = pack(panel(), codec(), weights);
  const auto activations = randomFloats(tokens * k, 13);
  const auto seen = panel().rotated ? rotated(activations) : activations;
  std::vector<uint8_t> strips(tiles.inputBytes(tokens, k, 1));
  std::vector<uint8_t> right(tiles.inputBytes(tiles.columns, k, 1));
  tiles.prepare({strips.data(), seen.data(), k, tokens, k, 1});
  panel().expand(packed.data(), k, right.data());
  panel().expand(&packed[panel().panelBytes(k)], k, &right[right.size() / (k / 16)]);
  std::vector<float> out(tokens * rows);
  tiles.multiply({.strips = strips.data(),
                  .rows = tokens,
                  .b = nullptr,
                  .bStride = 0,
                  .c = out.data(),
                  .cStride = rows,
                  .n = rows,
                  .k = k,
                  .parts = 1,
                  .scratch = right.data()});
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t r = 0; r < rows; ++r) {
      double sum = 0, size = 0;
      for (size_t i = 0; i < k; ++i) {
        const double term = double(weights.decoded[r * k + i]) * double(activations[t * k + i]);
        sum += term;
        size += std::fabs(term);
      }
      ASSERT_NEAR(out[t * rows + r], sum, (0x1p-7 + double(panel().tableError)) * size) << t << r;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, Panels,
                         testing::Combine(testing::Values("scalar", "avx2", "avx512", "amx"),
                                          testing::ValuesIn(codecs().begin(), codecs().end())),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)) + "_" +
                                  std::string(std::get<1>(instance.param)->name);
                         });

class Activations : public testing::TestWithParam<const char*> {};

TEST_P(Activations, AreRoundedToTheNearestOf127Steps) {
  const CpuKernels* table = findCpuKernels(GetParam());
  if (table == nullptr) GTEST_SKIP();
  const size_t k = 96;
  auto a = randomFloats(k, 17);
  std::fill(a.begin() + 32, a.begin() + 64, 0.0f);
  const Rounded rounded = round(*table, a, 1, k);
  for (size_t i = 0; i < k; ++i) {
    EXPECT_NEAR(rounded.values[i], a[i], 0.5001f * rounded.scales[i / 32]);
  }
  EXPECT_EQ(rounded.scales[1], 0.0f);
  for (size_t step = 0; step < k / 32; ++step) {
    int halves[2] = {};
    for (size_t i = 0; i < 32; ++i) halves[i / 16] += rounded.codes[step * 32 + i];
    EXPECT_EQ(rounded.sums[4 * step], -128 * halves[0]);
    EXPECT_EQ(rounded.sums[4 * step + 1], -128 * halves[1]);
    EXPECT_EQ(rounded.sums[4 * step + 2], -128 * (halves[0] + halves[1]));
    EXPECT_EQ(rounded.sums[4 * step + 3], 0);
  }
}

TEST_P(Activations, ThatAreNotNumbersSpoilTheirScale) {
  const CpuKernels* table = findCpuKernels(GetParam());
  if (table == nullptr) GTEST_SKIP();
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    auto a = randomFloats(32, 19);
    a[5] = bad;
    const Rounded rounded = round(*table, a, 1, 32);
    EXPECT_FALSE(std::isfinite(rounded.scales[0]));
  }
}

TEST_P(Activations, RotateByTheDefinition) {
  const CpuKernels* table = findCpuKernels(GetParam());
  if (table == nullptr) GTEST_SKIP();
  auto a = randomFloats(96, 21);
  const auto expected = rotated(a);
  table->rotateActivations(a.data(), a.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], expected[i], 2e-6f);
}

INSTANTIATE_TEST_SUITE_P(Tables, Activations, testing::Values("scalar", "avx2", "avx512", "amx"),
                         [](const auto& instance) { return std::string(instance.param); });

class Tiles : public testing::TestWithParam<size_t> {};

TEST_P(Tiles, ProductAgreesWithDoubleLoopAtEverySizeOfEdge) {
  const CpuKernels& table = cpuKernels();
  if (table.tiles == nullptr) GTEST_SKIP() << "this processor has no matrix unit";
  const size_t parts = GetParam();
  const double bound = parts == 2 ? 0x1p-15 : 0x1p-7;
  for (const size_t m : {0u, 1u, 15u, 16u, 17u, 33u, 50u}) {
    for (const size_t n : {0u, 1u, 15u, 16u, 31u, 32u, 33u, 70u}) {
      for (const size_t k : {1u, 15u, 16u, 31u, 32u, 33u, 172u}) {
        const size_t stride = n + 5;
        const auto a = randomFloats(m * k, 23);
        const auto b = randomFloats(n * k, 25);
        std::vector<uint8_t> strips(table.tiles->inputBytes(m, k, parts));
        std::vector<uint8_t> scratch(table.tiles->inputBytes(table.tiles->columns, k, parts));
        std::vector<float> c(m * stride + 1, 9);
        table.tiles->prepare({strips.data(), a.data(), k, m, k, parts});
        table.tiles->multiply(
            {strips.data(), m, b.data(), k, c.data(), stride, n, k, parts, scratch.data()});
        for (size_t i = 0; i < m; ++i) {
          for (size_t j = 0; j < n; ++j) {
            double sum = 0, size = 0;
            for (size_t x = 0; x < k; ++x) {
              const double term = double(a[i * k + x]) * double(b[j * k + x]);
              sum += term;
              size += std::fabs(term);
            }
            ASSERT_NEAR(c[i * stride + j], sum, bound * size) << m << " " << n << " " << k;
          }
          for (size_t j = n; j < stride; ++j) ASSERT_EQ(c[i * stride + j], 9.0f);
        }
        ASSERT_EQ(c.back(), 9.0f);
      }
    }
  }
}

// Causal attention of one query, in double precision.
std::vector<double> attended(const float* query, const std::vector<float>& keys,
                             const std::vector<float>& values, size_t seen, size_t keyWidth,
                             size_t valueWidth, double scale) {
  std::vector<double> result(valueWidth);
  std::vector<double> weights(seen);
  double sum = 0;
  for (size_t p = 0; p < seen; ++p) {
    double score = 0;
    for (size_t i = 0; i < keyWidth; ++i) {
      score += double(query[i]) * double(keys[p * keyWidth + i]);
    }
    sum += weights[p] = std::exp(scale * score);
  }
  for (size_t p = 0; p < seen; ++p) {
    for (size_t i = 0; i < valueWidth; ++i) {
      result[i] += weights[p] / sum * double(values[p * valueWidth + i]);
    }
  }
  return result;
}

TEST_P(Tiles, AttentionAgreesWithDoubleLoop) {
  const CpuKernels& table = cpuKernels();
  if (table.tiles == nullptr) GTEST_SKIP() << "this processor has no matrix unit";
  const TileKernels& tiles = *table.tiles;
  const size_t parts = GetParam();
  for (const size_t keyWidth : {8u, 33u, 64u}) {
    for (const size_t first : {0u, 1u, 37u}) {
      for (const size_t count : {1u, 16u, 31u, 33u, 70u}) {
        const size_t valueWidth = keyWidth == 33 ? 20 : keyWidth;
        const size_t positions = first + count;
        const auto queries = randomFloats(count * keyWidth, 31);
        const auto keys = randomFloats(positions * keyWidth, 32);
        const auto values = randomFloats(positions * valueWidth, 33);
        std::vector<uint8_t> keyTiles(tiles.keyBytes(positions, keyWidth, parts));
        std::vector<uint8_t> valueTiles(tiles.valueBytes(positions, valueWidth, parts));
        std::vector<uint8_t> scratch(tiles.attendScratch(positions, keyWidth, parts));
        std::vector<float> out(count * valueWidth + 1, 9);
        tiles.packContext({.keys = keys.data(),
                           .keyStride = keyWidth,
                           .values = values.data(),
                           .valueStride = valueWidth,
                           .positions = positions,
                           .headWidth = keyWidth,
                           .valueWidth = valueWidth,
                           .parts = parts,
                           .keyTiles = keyTiles.data(),
                           .valueTiles = valueTiles.data()});
        tiles.attend({.queries = queries.data(),
                      .queryStride = keyWidth,
                      .keyTiles = keyTiles.data(),
                      .valueTiles = valueTiles.data(),
                      .positions = positions,
                      .out = out.data(),
                      .outStride = valueWidth,
                      .count = count,
                      .firstPosition = first,
                      .headWidth = keyWidth,
                      .valueWidth = valueWidth,
                      .scale = 0.2f,
                      .parts = parts,
                      .scratch = scratch.data()});
        for (size_t i = 0; i < count; ++i) {
          const auto expected = attended(&queries[i * keyWidth], keys, values, first + i + 1,
                                         keyWidth, valueWidth, double(0.2f));
          for (size_t j = 0; j < valueWidth; ++j) {
            ASSERT_NEAR(out[i * valueWidth + j], expected[j], parts == 2 ? 1e-4 : 3e-2)
                << keyWidth << " wide, query " << i << " of " << count << " after " << first;
          }
        }
        ASSERT_EQ(out.back(), 9.0f);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, Tiles, testing::Values(1u, 2u));

}  // namespace
}  // namespace bitloom

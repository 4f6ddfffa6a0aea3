// SPDX-License-Identifier: GPL-3.0-or-later
// Method gptq as a whole, and the promises of its parts: the factor, rounding in turn, descent.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "core/methods/gptq/rounder.h"
#include "tests/support/method_source.h"

namespace bitloom {
namespace {

using test::correlatedMoments;
using test::correlatedStatistics;
using test::lossUnder;
using test::Source;
using test::TestJob;
using test::unevenStatistics;

TEST(Gptq, LosesFarLessThanRoundingWhereInputsGoTogether) {
  const Source source(48, 256);
  const TensorStatistics statistics = correlatedStatistics(256);
  for (const char* name :
       {"q4_0", "q3_k", "q4_k", "iq4_nl", "tq3_1s", "tq4_1s", "tq3_1b4", "tq2_1b2", "tq3_1b8"}) {
    TestJob run;
    const QuantizeTask task{source.tensor, *findCodec(name), &statistics, {}};
    const auto plain = findMethod("nearest")->quantize(task, run.job);
    const auto weighted = findMethod("imatrix")->quantize(task, run.job);
    const auto turned = findMethod("gptq")->quantize(task, run.job);
    ASSERT_TRUE(plain && weighted && turned) << name;
    const auto loss = [&](const Result<Encoded>& encoded) {
      return lossUnder(statistics.moments->held, source, *encoded);
    };
    EXPECT_LT(loss(turned), 0.6 * loss(plain)) << name;
    EXPECT_LT(loss(turned), 0.7 * loss(weighted)) << name;
  }
}

// Rounding in turn would help on the moments that are used, and does harm on those held out.
TEST(Gptq, IsGivenUpWhereItDoesNotHoldOnOtherText) {
  const Source source(16, 128);
  TensorStatistics statistics = correlatedStatistics(128);
  std::vector<float> identity(128 * 128);
  for (size_t i = 0; i < 128; ++i) identity[i * 128 + i] = 1;
  const auto used = statistics.moments->used;
  statistics.moments = Moments::of(128, {used.begin(), used.end()}, identity);
  TestJob run;
  const QuantizeTask task{source.tensor, *findCodec("tq3_1s"), &statistics, {}};
  const auto plain = findMethod("nearest")->quantize(task, run.job);
  const auto turned = findMethod("gptq")->quantize(task, run.job);
  ASSERT_TRUE(plain && turned);
  EXPECT_EQ(turned->bytes, plain->bytes);
}

TEST(Gptq, NeedsMomentsOfTheTensorsWidth) {
  TestJob run;
  const Source source(4, 64);
  TensorStatistics statistics = unevenStatistics(64);
  statistics.moments = nullptr;
  const Method& gptq = *findMethod("gptq");
  const auto missing = gptq.quantize({source.tensor, *findCodec("q4_0"), &statistics, {}}, run.job);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "blk.0.ffn_up.weight: method gptq needs a calibration with moments, and the "
            "calibration has none for this tensor.");
  const TensorStatistics wrong = unevenStatistics(32);
  const auto shape = gptq.quantize({source.tensor, *findCodec("q4_0"), &wrong, {}}, run.job);
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().message,
            "blk.0.ffn_up.weight: the calibration has 32 columns, but the tensor's rows have 64.");
}

// A codec whose codes are multiples of ¼, whatever the weights.
constexpr float kStep = 0.25f;
constexpr Grid kStepsGrid = {
    .block = 8,
    .vector = 1,
    .parameters = 1,
    .toBasis = nullptr,
    .fromBasis = nullptr,
    .fit = [](std::span<const float>, std::span<const float>,
              std::span<float> parameters) { parameters[0] = kStep; },
    .round =
        [](const float* values, size_t, std::span<const float>, uint8_t* codes, float* rounded) {
          const float level = std::nearbyint(*values / kStep);
          *codes = uint8_t(int(level) + 128);
          *rounded = level * kStep;
        },
    .pack =
        [](std::span<const float>, std::span<const uint8_t> codes, std::span<std::byte> bytes) {
          for (size_t i = 0; i < codes.size(); ++i) bytes[i] = std::byte(codes[i]);
        }};
constexpr Codec kSteps = {.name = "steps",
                          .title = "steps",
                          .summary = "",
                          .fallback = "",
                          .bits = 8,
                          .rowBytes = [](uint64_t n) { return n; },
                          .encode = nullptr,
                          .decode = nullptr,
                          .grid = &kStepsGrid};

struct Factored {
  std::vector<float> h;  // damped
  std::vector<float> upper;
  double damping;
};

Factored factored(std::span<const float> moments, size_t n) {
  TestJob run;
  const auto factor = gptq::inverseFactor(moments, n, run.job);
  EXPECT_TRUE(factor && *factor);
  Factored result{{moments.begin(), moments.end()}, (*factor)->upper, (*factor)->damping};
  for (size_t i = 0; i < n; ++i) result.h[i * n + i] += float(result.damping);
  return result;
}

std::vector<std::byte> packed(const gptq::Rounder& rounder, const Codec& codec, size_t rows,
                              size_t n) {
  std::vector<std::byte> bytes(rows * codec.rowBytes(n));
  rounder.pack(bytes);
  return bytes;
}

TEST(GptqFactor, InvertsTheDampedMoments) {
  constexpr size_t n = 150;  // no multiple of a panel
  const Factored made = factored(correlatedMoments(n, 3), n);
  EXPECT_GT(made.damping, 0);
  // UᵀU·H is the identity.
  for (const size_t i : {size_t{0}, size_t{63}, size_t{64}, size_t{149}}) {
    std::vector<double> inverse(n);  // row i of UᵀU
    for (size_t j = 0; j < n; ++j) {
      for (size_t k = 0; k <= std::min(i, j); ++k)
        inverse[j] += double(made.upper[k * n + i]) * double(made.upper[k * n + j]);
    }
    for (size_t j = 0; j < n; ++j) {
      double product = 0;
      for (size_t k = 0; k < n; ++k) product += inverse[k] * double(made.h[k * n + j]);
      ASSERT_NEAR(product, i == j ? 1 : 0, 2e-5) << i << " " << j;
    }
  }
}

TEST(GptqFactor, IsTheSameAtAnyThreadCount) {
  const std::vector<float> moments = correlatedMoments(200, 3);
  std::vector<std::vector<float>> factors;
  for (const int threads : {1, 2, 5}) {
    TestJob run(threads);
    const auto factor = gptq::inverseFactor(moments, 200, run.job);
    ASSERT_TRUE(factor && *factor);
    factors.push_back((*factor)->upper);
  }
  EXPECT_EQ(factors[0], factors[1]);
  EXPECT_EQ(factors[0], factors[2]);
}

TEST(GptqFactor, DampsUntilItExists) {
  TestJob run;
  std::vector<float> singular(64 * 64, 1.0f);
  const auto rankOne = gptq::inverseFactor(singular, 64, run.job);
  ASSERT_TRUE(rankOne && *rankOne);
  EXPECT_NEAR((*rankOne)->damping, 0.05, 1e-12);
  // Eigenvalues of −0.5 want more than 5 % of the mean.
  std::vector<float> indefinite(64 * 64);
  for (size_t i = 0; i < 64; ++i) {
    indefinite[i * 64 + i] = 1;
    indefinite[i * 64 + (i ^ 1)] = 1.5f;
  }
  const auto damped = gptq::inverseFactor(indefinite, 64, run.job);
  ASSERT_TRUE(damped && *damped);
  EXPECT_NEAR((*damped)->damping, 5, 1e-9);
  std::vector<float> broken(64 * 64, std::numeric_limits<float>::quiet_NaN());
  const auto none = gptq::inverseFactor(broken, 64, run.job);
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_value());
}

// Without correlations no error is passed on.
TEST(GptqInTurn, IsRoundToNearestWhereMomentsAreDiagonal) {
  for (const char* name : {"tq3_1s", "tq4_1s", "tq3_1b4"}) {
    const Codec& codec = *findCodec(name);
    const Source source(5, 192);
    std::vector<float> diagonal(192 * 192);
    for (size_t i = 0; i < 192; ++i) diagonal[i * 192 + i] = 1 + float(i % 7);
    const Factored made = factored(diagonal, 192);
    std::vector<float> rows = source.values;
    for (size_t r = 0; r < 5; ++r)
      gptq::toBasis(*codec.grid, std::span(rows).subspan(r * 192, 192));
    gptq::Rounder rounder(codec, made.h, made.upper, 192);
    rounder.begin(rows);
    rounder.roundInTurn();
    std::vector<std::byte> expected(5 * codec.rowBytes(192));
    for (size_t r = 0; r < 5; ++r) {
      codec.encode(std::span(source.values).subspan(r * 192, 192), {},
                   std::span(expected).subspan(r * codec.rowBytes(192), codec.rowBytes(192)));
    }
    EXPECT_EQ(packed(rounder, codec, 5, 192), expected) << name;
  }
}

// The plain algorithm, one column after the other over the whole row, gives the same codes as
// panels do, and Σe² = Δ·H·Δᵀ, whose left side is what the algorithm makes small.
TEST(GptqInTurn, PanelsChangeNothing) {
  constexpr size_t n = 264, rows = 7;
  const Source source(rows, n);
  const Factored made = factored(correlatedMoments(n, 1), n);
  gptq::Rounder rounder(kSteps, made.h, made.upper, n);
  rounder.begin(source.values);
  rounder.roundInTurn();
  const std::vector<std::byte> codes = packed(rounder, kSteps, rows, n);
  double squares = 0;
  for (size_t r = 0; r < rows; ++r) {
    std::vector<float> row(source.values.begin() + ptrdiff_t(r * n),
                           source.values.begin() + ptrdiff_t((r + 1) * n));
    for (size_t i = 0; i < n; ++i) {
      const float level = std::nearbyint(row[i] / kStep);
      ASSERT_EQ(codes[r * n + i], std::byte(int(level) + 128)) << r << " " << i;
      const float e = (row[i] - level * kStep) / made.upper[i * n + i];
      squares += double(e) * double(e);
      for (size_t j = i + 1; j < n; ++j) row[j] -= e * made.upper[i * n + j];
    }
  }
  EXPECT_NEAR(rounder.error(), squares, 1e-6 * squares);
}

// LDLQ (QuIP, arXiv 2307.13304) from the last column to the first, with H = LDLᵀ, is rounding in
// turn with the columns reversed.
TEST(GptqInTurn, IsLdlqWithTheColumnsReversed) {
  constexpr size_t n = 96, rows = 11;
  const Source source(rows, n);
  const std::vector<float> moments = correlatedMoments(n, 4);
  const std::vector<float> reversed(moments.rbegin(), moments.rend());
  const Factored made = factored(reversed, n);
  std::vector<float> turned(source.values.size());
  for (size_t i = 0; i < turned.size(); ++i) turned[i] = source.values[i / n * n + (n - 1 - i % n)];
  gptq::Rounder rounder(kSteps, made.h, made.upper, n);
  rounder.begin(turned);
  rounder.roundInTurn();
  const std::vector<std::byte> codes = packed(rounder, kSteps, rows, n);

  std::vector<double> lower(n * n), pivots(n);  // of the damped moments, as they were
  for (size_t j = 0; j < n; ++j) {
    const auto h = [&](size_t a, size_t b) {
      return double(made.h[(n - 1 - a) * n + (n - 1 - b)]);
    };
    pivots[j] = h(j, j);
    for (size_t k = 0; k < j; ++k) pivots[j] -= lower[j * n + k] * lower[j * n + k] * pivots[k];
    for (size_t i = j + 1; i < n; ++i) {
      double sum = h(i, j);
      for (size_t k = 0; k < j; ++k) sum -= lower[i * n + k] * lower[j * n + k] * pivots[k];
      lower[i * n + j] = sum / pivots[j];
    }
  }
  size_t different = 0;
  for (size_t r = 0; r < rows; ++r) {
    std::vector<double> errors(n);  // w − q
    for (size_t k = n; k-- > 0;) {
      double wanted = double(source.values[r * n + k]);
      for (size_t j = k + 1; j < n; ++j) wanted += errors[j] * lower[j * n + k];
      const double level = std::nearbyint(wanted / double(kStep));
      errors[k] = double(source.values[r * n + k]) - level * double(kStep);
      different += codes[r * n + (n - 1 - k)] != std::byte(int(level) + 128);
    }
  }
  EXPECT_LE(different, 1U);  // a value between two levels, in floats and in doubles
}

// What is lost in the rotated basis is what is lost in the columns' own.
TEST(GptqInTurn, TheBasisDoesNotChangeTheLoss) {
  constexpr size_t n = 256, rows = 24;
  const Codec& codec = *findCodec("tq3_1s");
  const Source source(rows, n);
  const std::vector<float> moments = correlatedMoments(n, 1);
  TestJob run;
  const Factored made = factored(gptq::inBasis(*codec.grid, moments, n, run.job), n);
  std::vector<float> turned = source.values;
  for (size_t r = 0; r < rows; ++r) gptq::toBasis(*codec.grid, std::span(turned).subspan(r * n, n));
  gptq::Rounder rounder(codec, made.h, made.upper, n);
  rounder.begin(turned);
  rounder.roundInTurn();
  std::vector<float> damped = moments;
  for (size_t i = 0; i < n; ++i) damped[i * n + i] += float(made.damping);
  const auto lossOfBytes = [&] {
    return lossUnder(damped, source, Encoded{&codec, n, packed(rounder, codec, rows, n)});
  };
  const double inTurn = lossOfBytes();
  EXPECT_NEAR(rounder.error(), inTurn, 1e-6 * inTurn);

  const auto plain = findMethod("nearest")->quantize({source.tensor, codec, nullptr, {}}, run.job);
  ASSERT_TRUE(plain);
  const double nearest = lossUnder(damped, source, *plain);
  EXPECT_LT(inTurn, 0.5 * nearest);
  rounder.descend(2);
  EXPECT_LT(lossOfBytes(), 0.95 * inTurn);
  EXPECT_NEAR(rounder.error(), lossOfBytes(), 1e-3 * inTurn);
}

// Inputs whose spectrum falls as 1/i², as those of trained models roughly do.
TEST(GptqInTurn, LosesAThirdOfNearestOnAFallingSpectrum) {
  constexpr size_t n = 128, rows = 32;
  const Codec& codec = *findCodec("tq3_1s");
  const Source source(rows, n);
  for (const unsigned seed : {1U, 2U, 3U}) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<double> sums(n * n);
    for (size_t k = 0; k < n; ++k) {
      std::vector<double> direction(n);
      for (double& x : direction) x = normal(random);
      const double power = 1 / double((k + 1) * (k + 1));
      for (size_t i = 0; i < n * n; ++i) sums[i] += power * direction[i / n] * direction[i % n];
    }
    const std::vector<float> moments(sums.begin(), sums.end());
    TestJob run;
    const Factored made = factored(gptq::inBasis(*codec.grid, moments, n, run.job), n);
    std::vector<float> turned = source.values;
    for (size_t r = 0; r < rows; ++r) {
      gptq::toBasis(*codec.grid, std::span(turned).subspan(r * n, n));
    }
    gptq::Rounder rounder(codec, made.h, made.upper, n);
    rounder.begin(turned);
    rounder.roundInTurn();
    const Encoded inTurn{&codec, n, packed(rounder, codec, rows, n)};
    const auto plain =
        findMethod("nearest")->quantize({source.tensor, codec, nullptr, {}}, run.job);
    ASSERT_TRUE(plain);
    const double nearest = lossUnder(moments, source, *plain);
    EXPECT_LT(lossUnder(moments, source, inTurn), 0.35 * nearest) << seed;
  }
}

// For every codec that has a grid, row by row; also from a start that is far from good.
TEST(GptqDescent, NeverLosesMore) {
  constexpr size_t n = 512;
  const std::vector<float> moments = correlatedMoments(n, 5);
  for (const Codec* codec : codecs()) {
    if (codec->grid == nullptr || codec->rowBytes(n) == 0) continue;
    TestJob run;
    const Factored made = factored(gptq::inBasis(*codec->grid, moments, n, run.job), n);
    std::vector<float> identity(n * n);
    for (size_t i = 0; i < n; ++i) identity[i * n + i] = 1;
    double before = 0, after = 0;
    for (unsigned r = 0; r < 6; ++r) {
      const Source source(6, n);
      std::vector<float> row(source.values.begin() + r * n, source.values.begin() + (r + 1) * n);
      gptq::toBasis(*codec->grid, row);
      gptq::Rounder rounder(*codec, made.h, r % 2 ? made.upper : identity, n);
      rounder.begin(row);
      rounder.roundInTurn();
      double last = rounder.error();
      before += last;
      for (int sweep = 0; sweep < 3; ++sweep) {
        rounder.descend(1);
        ASSERT_LE(rounder.error(), last * (1 + 1e-5)) << codec->name << " row " << r;
        last = rounder.error();
      }
      after += last;
    }
    EXPECT_LT(after, before) << codec->name;
  }
}

}  // namespace
}  // namespace bitloom

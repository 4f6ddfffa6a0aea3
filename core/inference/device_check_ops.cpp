// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <cmath>

#include "core/inference/device_check_parts.h"
#include "core/inference/sampler.h"
#include "core/statistics.h"

namespace bitloom::device_check {

Result<double> checkNorm(vulkan::Device& device) {
  constexpr size_t kWidth = 100, kCount = 7;
  constexpr float kEpsilon = 1e-5f;
  const Floats input = randomFloats(kWidth * kCount, 5);
  const Floats weight = randomFloats(kWidth, 6);
  Bench bench(device);
  TRY(const auto in, bench.put(input));
  TRY(const auto w, bench.put(weight));
  TRY(bench.ops.norm(in, w, kWidth, kCount, kEpsilon, in));
  TRY(const Floats actual, bench.run(in, input.size()));
  std::vector<double> expected;
  for (size_t n = 0; n < kCount; ++n) {
    double square = 0;
    for (size_t i = 0; i < kWidth; ++i) square += std::pow(double(input[n * kWidth + i]), 2);
    const double factor = 1 / std::sqrt(square / kWidth + double(kEpsilon));
    for (size_t i = 0; i < kWidth; ++i) {
      expected.push_back(double(input[n * kWidth + i]) * factor * double(weight[i]));
    }
  }
  return worstError(actual, expected);
}

Result<double> checkRope(vulkan::Device& device, bool adjacent) {
  constexpr uint32_t kTokens = 3, kHeads = 5, kHeadWidth = 20, kPairs = 7;
  constexpr uint32_t kStride = kHeads * kHeadWidth;
  const std::vector<uint32_t> positions = {2, 0, 11};
  const Floats input = randomFloats(kTokens * kStride, 7);
  const Floats table = randomFloats(12 * 2 * kPairs, 8);
  Bench bench(device);
  TRY(const auto in, bench.put(input));
  TRY(const auto angles, bench.put(table));
  TRY(const auto at, bench.put(positions));
  TRY(const auto output, bench.room(input.size()));
  TRY(bench.ops.rope({.input = &in,
                      .output = &output,
                      .table = &angles,
                      .positions = &at,
                      .rows = kTokens,
                      .heads = kHeads,
                      .headWidth = kHeadWidth,
                      .pairs = kPairs,
                      .adjacent = adjacent}));
  TRY(const Floats actual, bench.run(output, input.size()));
  std::vector<double> expected(input.begin(), input.end());
  for (uint32_t head = 0; head < kTokens * kHeads; ++head) {
    const float* angle = &table[positions[head / kHeads] * 2 * kPairs];
    for (uint32_t i = 0; i < kPairs; ++i) {
      const size_t left = head * kHeadWidth + (adjacent ? 2 * i : i);
      const size_t right = left + (adjacent ? 1 : kPairs);
      const double cosine = angle[i], sine = angle[kPairs + i];
      const double x = input[left], y = input[right];
      expected[left] = x * cosine - y * sine;
      expected[right] = x * sine + y * cosine;
    }
  }
  return worstError(actual, expected);
}

Result<double> checkElementwise(vulkan::Device& device, vulkan::Elementwise kind) {
  constexpr size_t kCount = 333;
  constexpr float kFactor = 0.7f;
  Floats left = randomFloats(kCount, 9);
  for (size_t i = 0; i < kCount; ++i) left[i] *= i % 10 == 0 ? 60.0f : 3.0f;
  const Floats right = randomFloats(kCount, 10);
  Bench bench(device);
  TRY(const auto a, bench.put(left));
  TRY(const auto b, bench.put(right));
  TRY(bench.ops.elementwise(kind, a, &b, kCount, kFactor, a));
  TRY(const Floats actual, bench.run(a, kCount));
  std::vector<double> expected;
  for (size_t i = 0; i < kCount; ++i) {
    const double x = left[i], y = right[i];
    switch (kind) {
      case vulkan::Elementwise::SiluGate:
        expected.push_back(x / (1 + std::exp(-x)) * y);
        break;
      case vulkan::Elementwise::GeluGate:
        expected.push_back(0.5 * x *
                           (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) * y);
        break;
      case vulkan::Elementwise::Add:
        expected.push_back(x + y);
        break;
      case vulkan::Elementwise::Scale:
        expected.push_back(double(kFactor) * x);
        break;
    }
  }
  return worstError(actual, expected);
}

Result<double> checkGather(vulkan::Device& device) {
  constexpr uint32_t kColumns = 70;
  const Floats input = randomFloats(9 * kColumns, 11);
  const std::vector<uint32_t> indices = {8, 0, 3, 3};
  Bench bench(device);
  TRY(const auto in, bench.put(input));
  TRY(const auto index, bench.put(indices));
  TRY(const auto output, bench.room(indices.size() * kColumns));
  TRY(bench.ops.gather(in, kColumns, index, uint32_t(indices.size()), output));
  TRY(const Floats actual, bench.run(output, indices.size() * kColumns));
  std::vector<double> expected;
  for (const uint32_t row : indices) {
    for (size_t i = 0; i < kColumns; ++i) expected.push_back(input[row * kColumns + i]);
  }
  return worstError(actual, expected);
}

namespace {

// Two sequences of 45 and 6 tokens, the second from position 30 on; keys of the first lie from row
// 0 on, of the second from row 45 on.
struct AttentionCase {
  static constexpr uint32_t kHeads = 6, kKeyHeads = 2, kHeadWidth = 48, kValueWidth = 80;
  static constexpr uint32_t kRows = 51, kKeyRows = 45 + 36;
  static constexpr float kScale = 0.2f;
  Floats queries = randomFloats(kRows * kHeads * kHeadWidth, 12);
  Floats keys = randomFloats(kKeyRows * kKeyHeads * kHeadWidth, 13);
  Floats values = randomFloats(kKeyRows * kKeyHeads * kValueWidth, 14);

  std::vector<double> expected() const {
    std::vector<double> result;
    for (uint32_t row = 0; row < kRows; ++row) {
      const uint32_t position = row < 45 ? row : row - 45 + 30;
      for (uint32_t head = 0; head < kHeads; ++head) {
        attend(&queries[(row * kHeads + head) * kHeadWidth], head * kKeyHeads / kHeads,
               row < 45 ? 0 : 45, position, result);
      }
    }
    return result;
  }

 private:
  void attend(const float* query, uint32_t keyHead, uint32_t firstKey, uint32_t position,
              std::vector<double>& result) const {
    std::vector<double> sums(kValueWidth);
    double total = 0;
    for (uint32_t i = 0; i <= position; ++i) {
      const uint32_t key = (firstKey + i) * kKeyHeads + keyHead;
      double score = 0;
      for (uint32_t j = 0; j < kHeadWidth; ++j) {
        score += double(query[j]) * double(keys[key * kHeadWidth + j]);
      }
      const double weight = std::exp(score * double(kScale));
      total += weight;
      for (uint32_t j = 0; j < kValueWidth; ++j) {
        sums[j] += weight * double(values[key * kValueWidth + j]);
      }
    }
    for (const double sum : sums) result.push_back(sum / total);
  }
};

std::vector<vulkan::AttentionTile> tilesOf(uint32_t most) {
  std::vector<vulkan::AttentionTile> tiles;
  for (uint32_t row = 0; row < 45; row += most) {
    tiles.push_back({row, std::min(most, 45 - row), row, 0});
  }
  for (uint32_t row = 0; row < 6; row += most) {
    tiles.push_back({45 + row, std::min(most, 6 - row), 30 + row, 45});
  }
  return tiles;
}

// The nearest values that 8 bits hold exactly, whichever way a device rounds.
void holdIn8Bits(Floats& values) {
  constexpr float kSteps = 64;
  for (size_t i = 0; i < values.size(); ++i) {
    const float code =
        i % 32 == 0 ? 127 : std::clamp(std::round(values[i] * kSteps), -127.f, 127.f);
    values[i] = code / kSteps;
  }
}

}  // namespace

Result<double> checkAttention(vulkan::Device& device, vulkan::CacheFormat format, uint32_t splits) {
  const bool kept = format != vulkan::CacheFormat::Floats;
  using Case = AttentionCase;
  Case task;
  if (format == vulkan::CacheFormat::Bytes) {
    holdIn8Bits(task.keys);
    holdIn8Bits(task.values);
  }
  Bench bench(device);
  const uint32_t most = vulkan::attentionRows(Case::kHeads, Case::kKeyHeads);
  const auto tiles = tilesOf(most);
  TRY(const auto queries, bench.put(task.queries));
  TRY(const auto keys, bench.put(task.keys));
  TRY(const auto values, bench.put(task.values));
  TRY(const auto table, bench.put(tiles));
  TRY(const auto output, bench.room(Case::kRows * Case::kHeads * Case::kValueWidth));
  // Kept in the order of rows.
  std::vector<uint32_t> positions(Case::kKeyRows);
  for (uint32_t i = 0; i < Case::kKeyRows; ++i) positions[i] = i;
  TRY(const auto at, bench.put(positions));
  TRY(const auto keptKeys, bench.room(cacheBytes(format, task.keys.size()) / sizeof(float)));
  TRY(const auto keptValues, bench.room(cacheBytes(format, task.values.size()) / sizeof(float)));
  if (kept) {
    // In two runs, of which the second begins at row 50.
    for (const uint32_t first : {0u, 50u}) {
      const uint32_t count = first == 0 ? 50 : Case::kKeyRows - 50;
      TRY(bench.ops.keep(keys, Case::kKeyHeads * Case::kHeadWidth, at, first, count, format,
                         keptKeys));
      TRY(bench.ops.keep(values, Case::kKeyHeads * Case::kValueWidth, at, first, count, format,
                         keptValues));
    }
  }
  vulkan::Attention attention{.queries = &queries,
                              .keys = kept ? &keptKeys : &keys,
                              .values = kept ? &keptValues : &values,
                              .output = &output,
                              .tiles = &table,
                              .tileCount = uint32_t(tiles.size()),
                              .heads = Case::kHeads,
                              .keyHeads = Case::kKeyHeads,
                              .headWidth = Case::kHeadWidth,
                              .valueWidth = Case::kValueWidth,
                              .scale = Case::kScale,
                              .format = format,
                              .positions = 45,
                              .splits = splits};
  TRY(const auto shares, bench.room(vulkan::attentionShareBytes(attention) / sizeof(float)));
  attention.shares = &shares;
  TRY(bench.ops.attend(attention));
  TRY(const Floats actual, bench.run(output, Case::kRows * Case::kHeads * Case::kValueWidth));
  return worstError(actual, task.expected());
}

// Ids against their order on the host, as a difference of 1 each; logits, and the log of the sum.
Result<double> checkTop(vulkan::Device& device) {
  constexpr uint32_t kVocabulary = 5003, kWanted = 40;
  Floats logits = randomFloats(kVocabulary, 15);
  for (const size_t i : {100u, 2047u, 2048u, 2060u, 5002u}) logits[i] = 4;  // equal ones
  logits[7] = std::numeric_limits<float>::quiet_NaN();
  logits[8] = -std::numeric_limits<float>::infinity();
  const TopLogits expected = topLogits(logits, kWanted);
  Bench bench(device);
  TRY(const auto in, bench.put(logits));
  TRY(vulkan::Top top, vulkan::makeTop(device, kVocabulary, kWanted));
  TRY(bench.ops.top(in, kVocabulary, top));
  TRY(Floats actual, bench.run(top.values[top.last], kWanted));
  std::vector<uint32_t> ids(kWanted);
  TRY(device.read(top.ids[top.last], 0, ids.data(), kWanted * sizeof(uint32_t)));
  Floats sums(2 * top.runs);
  TRY(device.read(top.sums, 0, sums.data(), sums.size() * sizeof(float)));
  double sum = 0;
  for (size_t i = 0; i < sums.size(); i += 2) sum += double(sums[i + 1]) * std::exp(sums[i]);
  std::vector<double> wanted(expected.logits.begin(), expected.logits.end());
  for (size_t i = 0; i < kWanted; ++i) {
    actual.push_back(ids[i] == uint32_t(expected.ids[i]) ? 1 : 2);
    wanted.push_back(1);
  }
  actual.push_back(float(std::log(sum)));
  wanted.push_back(expected.logSum);
  return worstError(actual, wanted);
}

// Rows that differ by little and by much, in a matrix of more rows than are asked for.
Result<double> checkDivergence(vulkan::Device& device) {
  constexpr uint32_t kRowsHere = 4, kColumns = 1237, kFirst = 2;
  Floats reference = randomFloats((kFirst + kRowsHere) * kColumns, 16);
  for (float& value : reference) value *= 4;
  Floats logits(reference.begin() + kFirst * kColumns, reference.end());
  const Floats noise = randomFloats(logits.size(), 17);
  Floats sums;
  std::vector<double> expected;
  for (uint32_t row = 0; row < kFirst + kRowsHere; ++row) {
    const LogitRow sum = logitRow(std::span(reference).subspan(row * kColumns, kColumns));
    sums.insert(sums.end(), {sum.largest, float(sum.logSum - double(sum.largest))});
    if (row < kFirst) continue;
    const size_t start = (row - kFirst) * kColumns;
    const float scale = std::array{1e-2f, 0.1f, 1.0f, 20.0f}[row - kFirst];
    for (size_t i = start; i < start + kColumns; ++i) logits[i] += scale * noise[i];
    expected.push_back(klDivergence(std::span(reference).subspan(row * kColumns, kColumns),
                                    std::span(logits).subspan(start, kColumns)));
  }
  Bench bench(device);
  TRY(const auto theirs, bench.put(reference));
  TRY(const auto theirSums, bench.put(sums));
  TRY(const auto ours, bench.put(logits));
  TRY(const auto output, bench.room(kRowsHere));
  TRY(bench.ops.divergence(ours, kRowsHere, kColumns, theirs, theirSums, kFirst, output));
  TRY(Floats actual, bench.run(output, kRowsHere));
  for (size_t i = 0; i < actual.size(); ++i) {  // each by its own size
    actual[i] = float(double(actual[i]) / expected[i]);
    expected[i] = 1;
  }
  return worstError(actual, expected);
}

}  // namespace bitloom::device_check

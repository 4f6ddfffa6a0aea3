// SPDX-License-Identifier: GPL-3.0-or-later
// Weights per second of every codec on one core: encoding without and with importances, decoding.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/codec.h"

namespace bitloom {
namespace {

constexpr size_t kRow = 4096;
constexpr size_t kRows = 8;

std::vector<float> gaussian(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

void countWeights(benchmark::State& state) {
  state.counters["weights/s"] =
      benchmark::Counter(double(state.iterations()) * double(kRow), benchmark::Counter::kIsRate);
}

void encode(benchmark::State& state, const Codec* codec, bool weighted) {
  const std::vector<float> rows = gaussian(kRow * kRows, 1);
  std::vector<float> weights = gaussian(weighted ? kRow : 0, 2);
  for (float& weight : weights) weight = std::exp(50 * weight);
  std::vector<std::byte> bytes(codec->rowBytes(kRow));
  size_t row = 0;
  for (auto _ : state) {
    codec->encode(std::span(rows).subspan(row * kRow, kRow), weights, bytes);
    benchmark::DoNotOptimize(bytes.data());
    row = (row + 1) % kRows;
  }
  countWeights(state);
}

void decode(benchmark::State& state, const Codec* codec) {
  std::vector<float> row = gaussian(kRow, 3);
  std::vector<std::byte> bytes(codec->rowBytes(kRow));
  codec->encode(row, {}, bytes);
  for (auto _ : state) {
    codec->decode(bytes, row);
    benchmark::DoNotOptimize(row.data());
  }
  countWeights(state);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const Codec* codec : codecs()) {
    const std::string name(codec->name);
    benchmark::RegisterBenchmark(("encode/" + name).c_str(), encode, codec, false);
    benchmark::RegisterBenchmark(("encode_weighted/" + name).c_str(), encode, codec, true);
    benchmark::RegisterBenchmark(("decode/" + name).c_str(), decode, codec);
  }
  return true;
}();

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include <cmath>
#include <numeric>

#include "core/inference/device_check_parts.h"

namespace bitloom::device_check {
namespace {

constexpr size_t kRows = 71;

struct Rows {
  std::vector<std::byte> bytes;
  Floats decoded;
  uint64_t rowBytes = 0;
};

Rows encodeRandom(const Codec& codec, size_t rows, size_t length, uint32_t seed) {
  Rows result{{}, Floats(rows * length), codec.rowBytes(length)};
  const Floats values = randomFloats(rows * length, seed);
  result.bytes.resize(rows * result.rowBytes);
  for (size_t row = 0; row < rows; ++row) {
    const auto bytes = std::span(result.bytes).subspan(row * result.rowBytes, result.rowBytes);
    codec.encode(std::span(values).subspan(row * length, length), {}, bytes);
    codec.decode(bytes, std::span(result.decoded).subspan(row * length, length));
  }
  return result;
}

const uint8_t* bytesOf(const Rows& rows) {
  return reinterpret_cast<const uint8_t*>(rows.bytes.data());
}

// The shortest length of rows that a codec holds, times an odd number where it is short.
size_t oddLength(const Codec& codec) {
  if (codec.rowBytes(100) != 0) return 100;
  for (size_t length = 32;; length += 32) {
    if (codec.rowBytes(length) != 0) return length < 256 ? 5 * length : 3 * length;
  }
}

}  // namespace

Result<double> checkEmbed(vulkan::Device& device, const Codec& codec) {
  const size_t length = oddLength(codec);
  const Rows rows = encodeRandom(codec, kRows, length, 1);
  Bench bench(device);
  TRY(const auto weights,
      vulkan::upload(device, codec.name, bytesOf(rows), kRows, length, rows.rowBytes));
  const std::vector<uint32_t> indices = {70, 0, 33, 31, 32, 64, 5, 70};
  TRY(const auto index, bench.put(indices));
  TRY(const auto output, bench.room(indices.size() * length));
  TRY(bench.ops.embed(weights, index, uint32_t(indices.size()), output));
  TRY(const Floats actual, bench.run(output, indices.size() * length));
  std::vector<double> expected;
  for (const uint32_t row : indices) {
    for (size_t i = 0; i < length; ++i) expected.push_back(rows.decoded[row * length + i]);
  }
  return worstError(actual, expected);
}

Result<double> checkLinear(vulkan::Device& device, const Codec& codec, uint32_t tokens) {
  const size_t length = oddLength(codec);
  const Rows rows = encodeRandom(codec, kRows, length, 2);
  const Floats input = randomFloats(tokens * length, 3);
  const Floats bias = randomFloats(kRows, 4);
  Bench bench(device);
  TRY(const auto weights,
      vulkan::upload(device, codec.name, bytesOf(rows), kRows, length, rows.rowBytes));
  TRY(auto in, bench.put(input));
  const bool rotated = codec.grid != nullptr && codec.grid->toBasis != nullptr;
  vulkan::Buffer turned;
  if (rotated) {
    TRY(turned, bench.room(input.size()));
    TRY(bench.ops.rotate(in, input.size(), turned));
  }
  TRY(const auto biases, bench.put(bias));
  TRY(const auto output, bench.room(tokens * kRows));
  TRY(bench.ops.linear(weights, rotated ? turned : in, tokens, &biases, output));
  TRY(const Floats actual, bench.run(output, tokens * kRows));
  std::vector<double> expected;
  for (size_t token = 0; token < tokens; ++token) {
    for (size_t row = 0; row < kRows; ++row) {
      double sum = bias[row];
      for (size_t i = 0; i < length; ++i) {
        sum += double(rows.decoded[row * length + i]) * double(input[token * length + i]);
      }
      expected.push_back(sum);
    }
  }
  return worstError(actual, expected);
}

Result<double> checkEncode(vulkan::Device& device, const Codec& codec) {
  const size_t length = oddLength(codec);
  Floats values = randomFloats(kRows * length, 18);
  for (size_t i = 0; i < length; ++i) {
    values[i] = 0;
    values[length + i] *= 1e-7f;
  }
  Bench bench(device);
  TRY(const auto floats, bench.put(values));
  TRY(const auto damage, bench.put(std::vector<uint32_t>{0}));
  TRY(const auto indices, bench.put([] {
    std::vector<uint32_t> all(kRows);
    std::iota(all.begin(), all.end(), 0u);
    return all;
  }()));
  TRY(const auto weights,
      vulkan::makeWeights(device, codec.name, kRows, length, codec.rowBytes(length)));
  TRY(const auto output, bench.room(values.size()));
  TRY(bench.ops.encode(floats, kRows, 0, weights, damage));
  TRY(bench.ops.embed(weights, indices, kRows, output));
  TRY(const Floats actual, bench.run(output, values.size()));
  double ours = 0, theirs = 0;
  Floats decoded(length);
  std::vector<std::byte> bytes(codec.rowBytes(length));
  for (size_t row = 0; row < kRows; ++row) {
    const auto source = std::span(values).subspan(row * length, length);
    codec.encode(source, {}, bytes);
    codec.decode(bytes, decoded);
    for (size_t i = 0; i < length; ++i) {
      ours += std::pow(double(actual[row * length + i]) - double(source[i]), 2);
      theirs += std::pow(double(decoded[i]) - double(source[i]), 2);
    }
  }
  return std::abs(ours - theirs) / theirs;
}

}  // namespace bitloom::device_check

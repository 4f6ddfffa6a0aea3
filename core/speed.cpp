// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/speed.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "core/inference/linear.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr int kRuns = 7;
constexpr size_t kBeyondCaches = size_t{512} << 20;
constexpr size_t kChunk = size_t{1} << 20;
constexpr size_t kRowLength = 1024;
constexpr size_t kTokens = 512;
constexpr size_t kGemmRows = 4096;
constexpr size_t kCodedRows = 256;  // that are encoded and decoded
constexpr size_t kProducts = 2000;  // in one task of a product in cache

// Units per second: the median of several runs, after one that does not count.
Result<double> rate(double units, JobContext& job, const std::function<Result<void>()>& run) {
  std::vector<double> rates;
  for (int i = 0; i <= kRuns; ++i) {
    TRY(job.checkpoint());
    const auto begin = std::chrono::steady_clock::now();
    TRY(run());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    if (i > 0) rates.push_back(units / std::max(seconds.count(), 1e-9));
  }
  std::nth_element(rates.begin(), rates.begin() + kRuns / 2, rates.end());
  return rates[kRuns / 2];
}

// On large pages, as packed weights are.
struct Free {
  void operator()(uint64_t* words) const { std::free(words); }
};
using LargeBuffer = std::unique_ptr<uint64_t[], Free>;

LargeBuffer largeBuffer(uint64_t word) {
  LargeBuffer buffer(static_cast<uint64_t*>(std::aligned_alloc(size_t{2} << 20, kBeyondCaches)));
  if (!buffer) return buffer;
  ::madvise(buffer.get(), kBeyondCaches, MADV_HUGEPAGE);
  std::fill_n(buffer.get(), kBeyondCaches / sizeof(word), word);
  return buffer;
}

uint64_t sumOf(const uint64_t* from, size_t count) {
  constexpr size_t kAhead = 512;  // words
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= count; i += 8) {
    __builtin_prefetch(from + i + kAhead);
    for (size_t j = 0; j < 8; ++j) sums[j] += from[i + j];
  }
  uint64_t sum = 0;
  for (const uint64_t s : sums) sum += s;
  return sum;
}

// `work` on every thread; its operations are those of one call.
Result<double> peak(double operations, JobContext& job, const std::function<void()>& work) {
  const size_t tasks = size_t(job.workers().threads());
  return rate(operations * double(tasks), job, [&]() -> Result<void> {
    job.parallelFor(tasks, 1, [&](size_t, size_t) { work(); });
    return {};
  });
}

Result<double> peakOfFloats(JobContext& job) {
  const CpuKernels& kernels = cpuKernels();
  const size_t m = 64, k = 64, n = kernels.gemmColumns;
  return peak(2.0 * double(m * n * k * kProducts), job, [&] {
    std::vector<float> a(m * k, 0.5f), b(n * k, 0.5f), c(m * n);
    for (size_t i = 0; i < kProducts; ++i) {
      kernels.gemm({a.data(), k, b.data(), k, c.data(), n, m, n, k});
    }
  });
}

Result<double> peakOfTiles(JobContext& job) {
  const TileKernels* tiles = cpuKernels().tiles;
  if (tiles == nullptr) return 0.0;
  const size_t m = 8 * tiles->rows, n = tiles->columns, k = 1024;
  constexpr size_t kTimes = kProducts / 16;
  return peak(2.0 * double(m * n * k * kTimes), job, [&] {
    std::vector<float> a(m * k, 0.5f), c(m * n);
    std::vector<uint8_t> strips(tiles->inputBytes(m, k, 1)), right(tiles->inputBytes(n, k, 1));
    tiles->prepare({strips.data(), a.data(), k, m, k, 1});
    for (size_t i = 0; i < kTimes; ++i) {
      tiles->multiply({strips.data(), m, nullptr, 0, c.data(), n, n, k, 1, right.data()});
    }
  });
}

Result<double> peakOfBytes(JobContext& job) {
  const CpuKernels& kernels = cpuKernels();
  const auto* panel =
      std::find_if(kernels.panelCodecs, kernels.panelCodecs + kernels.panelCodecCount,
                   [](const PanelCodec& codec) { return std::string_view(codec.name) == "q8_0"; });
  constexpr size_t kBatch = 8, k = 256;
  return peak(2.0 * double(kBatch * kPanelRows * k * kProducts), job, [&] {
    std::vector<uint8_t> weights(panel->panelBytes(k));
    std::vector<int8_t> codes(kBatch * k);
    std::vector<float> scales(kBatch * k / kPanelStep), out(kBatch * kPanelRows);
    std::vector<int32_t> sums(kBatch * k / kPanelStep * kPanelSums);
    for (size_t i = 0; i < kProducts; ++i) {
      panel->multiply({.panels = weights.data(),
                       .panelCount = 1,
                       .input = {codes.data(), scales.data(), sums.data()},
                       .activations = nullptr,
                       .tokens = kBatch,
                       .k = k,
                       .out = out.data(),
                       .outStride = kPanelRows,
                       .rows = kPanelRows});
    }
  });
}

std::vector<float> gaussian(size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// `rows` rows, of which the first kCodedRows are encoded and the rest repeat them.
Encoded repeated(const Codec& codec, const std::vector<std::byte>& coded, size_t rows) {
  Encoded encoded{&codec, kRowLength, std::vector<std::byte>(codec.rowBytes(kRowLength) * rows)};
  for (size_t at = 0; at < encoded.bytes.size(); at += coded.size()) {
    std::memcpy(&encoded.bytes[at], coded.data(),
                std::min(coded.size(), encoded.bytes.size() - at));
  }
  return encoded;
}

// Products per second of `rows` rows with `tokens` tokens: bytes of weights when there is one
// token, operations when there are more.
Result<double> productRate(const Codec& codec, const std::vector<std::byte>& coded, size_t rows,
                           size_t tokens, JobContext& job) {
  const Encoded encoded = repeated(codec, coded, rows);
  Tensor tensor;
  tensor.name = codec.name;
  tensor.shape = {kRowLength, rows, 1, 1};
  tensor.dimensions = 2;
  TRY(PackedWeights packed, packWeights(tensor, &encoded, job));
  const double bytes = double(packed.panels()) * double(packed.panelBytes);
  const auto weights = std::make_shared<const PackedWeights>(std::move(packed));
  Matrix input(tokens, kRowLength);
  input.values = gaussian(input.values.size());
  Matrix output(tokens, rows);
  const PackedProduct product{weights, nullptr, &output};
  const double operations = 2.0 * double(tokens) * double(rows) * kRowLength;
  return rate(tokens == 1 ? bytes : operations, job, [&]() -> Result<void> {
    LinearInput forms;
    return multiply(input, forms, {&product, 1}, job);
  });
}

}  // namespace

Result<Limits> measureLimits(JobContext& job) {
  Limits limits;
  constexpr size_t kWords = kChunk / sizeof(uint64_t);
  constexpr size_t kAllWords = kBeyondCaches / sizeof(uint64_t);
  const LargeBuffer fromBuffer = largeBuffer(1);
  const LargeBuffer toBuffer = largeBuffer(2);
  if (!fromBuffer || !toBuffer) {
    return makeError(ErrorCode::OutOfMemory, "Measuring the memory's speed takes ",
                     2 * kBeyondCaches, " bytes, which this machine cannot give.");
  }
  uint64_t* from = fromBuffer.get();
  uint64_t* to = toBuffer.get();
  std::vector<uint64_t> sums(kAllWords / kWords);
  const auto chunks = [&](const std::function<void(size_t)>& work) -> Result<void> {
    job.parallelFor(sums.size(), 16, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) work(i);
    });
    return {};
  };
  TRY(limits.readBytes, rate(double(kBeyondCaches), job, [&] {
        return chunks([&](size_t i) { sums[i] = sumOf(&from[i * kWords], kWords); });
      }));
  TRY(limits.copyBytes, rate(2.0 * double(kBeyondCaches), job, [&] {
        return chunks([&](size_t i) { std::memcpy(&to[i * kWords], &from[i * kWords], kChunk); });
      }));
  if (sums[0] != kWords || to[kAllWords - 1] != 1) {
    return makeError(ErrorCode::Device, "This machine's memory does not hold what was written.");
  }
  TRY(limits.f32, peakOfFloats(job));
  TRY(limits.bf16, peakOfTiles(job));
  TRY(limits.int8, peakOfBytes(job));
  return limits;
}

Result<CodecSpeed> measureCodec(const Codec& codec, size_t rows, JobContext& job) {
  CodecSpeed speed;
  const size_t rowBytes = codec.rowBytes(kRowLength);
  const std::vector<float> values = gaussian(kCodedRows * kRowLength);
  std::vector<std::byte> coded(kCodedRows * rowBytes);
  std::vector<float> decoded(values.size());
  const auto forRows = [&](const std::function<void(size_t)>& work) -> Result<void> {
    job.parallelFor(kCodedRows, 8, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) work(i);
    });
    return {};
  };
  TRY(speed.encode, rate(double(values.size()), job, [&] {
        return forRows([&](size_t i) {
          codec.encode(std::span(values).subspan(i * kRowLength, kRowLength), {},
                       std::span(coded).subspan(i * rowBytes, rowBytes));
        });
      }));
  TRY(speed.decode, rate(double(values.size()), job, [&] {
        return forRows([&](size_t i) {
          codec.decode(std::span(coded).subspan(i * rowBytes, rowBytes),
                       std::span(decoded).subspan(i * kRowLength, kRowLength));
        });
      }));

  TRY(speed.gemv, productRate(codec, coded, rows, 1, job));
  TRY(speed.gemm, productRate(codec, coded, kGemmRows, kTokens, job));
  return speed;
}

}  // namespace bitloom

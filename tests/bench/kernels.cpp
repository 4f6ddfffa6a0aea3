// SPDX-License-Identifier: GPL-3.0-or-later
// Speed of the CPU kernels on one thread, by table. Compare "gemm in cache" with the processor's
// limit (clock × 2 units × lanes × 2) and the other products with "gemm in cache".
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

std::vector<float> someFloats(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = float(i % 97) * 0.01f - 0.5f;
  return values;
}

void rate(benchmark::State& state, double operations, const char* name) {
  state.counters[name] = benchmark::Counter(
      operations, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
}

void gemm(benchmark::State& state, const CpuKernels* table, size_t m, size_t n, size_t k) {
  const auto a = someFloats(m * k);
  const auto b = someFloats(n * k);
  std::vector<float> c(m * n);
  for (auto _ : state) {
    table->gemm({a.data(), k, b.data(), k, c.data(), n, m, n, k});
    benchmark::DoNotOptimize(c.data());
  }
  rate(state, 2.0 * double(m) * double(n) * double(k), "FLOP");
}

// One packed panel serves all rows: nothing comes from beyond the second-level cache.
void gemmInCache(benchmark::State& state, const CpuKernels* table) {
  gemm(state, table, 512, table->gemmColumns, 192);
}

// The differences of a linear op's input times its weights, added to what the op gave before.
void tiles(benchmark::State& state, const CpuKernels* table, size_t m, size_t n, size_t k) {
  const TileKernels& kernels = *table->tiles;
  const auto a = someFloats(m * k);
  const auto b = someFloats(n * k);
  const auto base = someFloats(m * n);
  std::vector<float> c(m * n);
  std::vector<uint8_t> strips(kernels.inputBytes(m, k, 1));
  std::vector<uint8_t> scratch(kernels.inputBytes(kernels.columns, k, 1));
  kernels.prepare({strips.data(), a.data(), k, m, k, 1});
  for (auto _ : state) {
    for (size_t j = 0; j < n; j += kernels.columns) {
      kernels.multiply({.strips = strips.data(),
                        .rows = m,
                        .b = b.data() + j * k,
                        .bStride = k,
                        .c = c.data() + j,
                        .cStride = n,
                        .n = std::min(kernels.columns, n - j),
                        .k = k,
                        .parts = 1,
                        .scratch = scratch.data(),
                        .base = base.data() + j,
                        .baseStride = n});
    }
    benchmark::DoNotOptimize(c.data());
  }
  rate(state, 2.0 * double(m) * double(n) * double(k), "FLOP");
}

void attention(benchmark::State& state, const CpuKernels* table, size_t count) {
  const size_t width = 64, first = 512 - count;
  const auto q = someFloats(count * width);
  const auto k = someFloats(512 * width);
  std::vector<float> out(count * width), scratch(count * 512);
  for (auto _ : state) {
    table->attention({.queries = q.data(),
                      .queryStride = width,
                      .keys = k.data(),
                      .keyStride = width,
                      .values = k.data(),
                      .valueStride = width,
                      .out = out.data(),
                      .outStride = width,
                      .count = count,
                      .firstPosition = first,
                      .headWidth = width,
                      .valueWidth = width,
                      .scale = 0.125f,
                      .scratch = scratch.data()});
    benchmark::DoNotOptimize(out.data());
  }
  rate(state, double(count), "queries");
}

void rows(benchmark::State& state, const CpuKernels* table, bool gate) {
  const size_t width = 1536;
  const auto x = someFloats(width);
  std::vector<float> y(width);
  for (auto _ : state) {
    if (gate) {
      table->siluGate(y.data(), x.data(), x.data(), width);
    } else {
      table->rmsNorm(y.data(), x.data(), x.data(), width, 1e-5f);
    }
    benchmark::DoNotOptimize(y.data());
  }
  rate(state, double(width), "values");
}

const bool registered = [] {
  for (const char* name : {"scalar", "avx2", "avx512", "amx"}) {
    const CpuKernels* table = findCpuKernels(name);
    if (table == nullptr) continue;
    const auto add = [&](const std::string& what, auto function, auto... arguments) {
      benchmark::RegisterBenchmark((std::string(name) + "/" + what).c_str(), function, table,
                                   arguments...);
    };
    add("gemm in cache", gemmInCache);
    add("gemm 512 × 1536 × 576", gemm, size_t(512), size_t(1536), size_t(576));
    add("gemm 512 × 576 × 1536", gemm, size_t(512), size_t(576), size_t(1536));
    add("gemm 32 × 1536 × 576", gemm, size_t(32), size_t(1536), size_t(576));
    add("gemm 1 × 1536 × 576", gemm, size_t(1), size_t(1536), size_t(576));
    if (table->tiles != nullptr) {
      add("tiles 256 × 1536 × 576", tiles, size_t(256), size_t(1536), size_t(576));
      add("tiles 256 × 576 × 1536", tiles, size_t(256), size_t(576), size_t(1536));
      add("tiles 4096 × 1536 × 576", tiles, size_t(4096), size_t(1536), size_t(576));
    }
    add("attention 64 queries", attention, size_t(64));
    add("attention 1 query", attention, size_t(1));
    add("silu gate", rows, true);
    add("rms norm", rows, false);
  }
  return true;
}();

}  // namespace
}  // namespace bitloom

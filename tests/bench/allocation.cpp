// SPDX-License-Identifier: GPL-3.0-or-later
// What a drag asks for besides measuring: a plan solved anew over 80 blocks × 7 roles × 10 codecs,
// and the damage that a sketch of 96 sequences predicts for it.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <string>

#include "core/allocator.h"
#include "core/builtin.h"

namespace bitloom {
namespace {

constexpr size_t kRoles = 7;
constexpr uint64_t kRow = 8192;
constexpr const char* kLadder[] = {"tq2_1b8", "tq2_1b4", "tq2_1b2", "tq3_1b8", "tq3_1s",
                                   "tq3_1b2", "tq4_1b8", "tq4_1s",  "q5_0",    "q8_0"};

// Rows of 8192 weights of a 70 B model; damage falls by 4 for each bit, from a random start.
std::vector<AllocationItem> items(size_t blocks) {
  constexpr uint64_t kWeights[kRoles] = {64 << 20,  8 << 20,   8 << 20,  64 << 20,
                                         224 << 20, 224 << 20, 224 << 20};
  std::mt19937 random(1);
  std::lognormal_distribution<double> start(-9, 1.5);
  std::uniform_real_distribution<double> scatter(0.8, 1.25);
  std::vector<AllocationItem> result(blocks * kRoles);
  for (size_t i = 0; i < result.size(); ++i) {
    result[i].name = std::to_string(i);
    result[i].block = int(i / kRoles);
    const double scale = start(random);
    for (const char* name : kLadder) {
      const Codec* codec = findCodec(name);
      const uint64_t bytes = kWeights[i % kRoles] / kRow * codec->rowBytes(kRow);
      const double bits = 8.0 * double(codec->rowBytes(kRow)) / kRow;
      const double damage = scale * std::exp2(-2 * bits) * scatter(random);
      result[i].options.push_back({codec, bytes, damage, {}});
    }
  }
  return result;
}

void solveAgain(benchmark::State& state, const Allocator* allocator) {
  const std::vector<AllocationItem> all = items(80);
  uint64_t least = 0, most = 0;
  for (const AllocationItem& item : all) {
    least += item.options.front().bytes;
    most += item.options.back().bytes;
  }
  Workers workers;
  JobControl control;
  JobContext job(workers, control);
  uint64_t turn = 0;
  for (auto _ : state) {
    const uint64_t budget = least + (most - least) / 16 * (1 + turn++ % 8);
    const auto allocation = allocator->solve({.items = all, .budget = budget}, job);
    if (!allocation) state.SkipWithError(allocation.error().message.c_str());
    benchmark::DoNotOptimize(allocation);
  }
}

// From rules, one for each tensor of the built-in model, to a corrected prediction by cells at all
// rungs of the ladder.
void predictDrag(benchmark::State& state) {
  const auto model = Model::open(*resolveModelArgument("builtin"));
  Sensitivity cells{.metric = "fisher_sketch"};
  std::mt19937 random(1);
  std::lognormal_distribution<double> value(-9, 1);
  Recipe recipe;
  for (const Tensor& tensor : (*model)->tensors()) {
    if (!isQuantizable(tensor)) continue;
    for (const char* name : kLadder) {
      const Codec* codec = effectiveCodec(findCodec(name), tensor.rowLength());
      Cell cell{tensor.name, std::string(codec->name), cells.metric, value(random), 1e-6, 0, {}};
      cell.samples.assign(96, float(std::sqrt(cell.value)));
      cells.cells.push_back(std::move(cell));
    }
    recipe.rules.push_back({.pattern = tensor.name, .codec = cells.cells.back().codec});
  }
  for (int i = 1; i <= 16; ++i) {
    cells.plans.push_back({0.01 * i, 0.011 * i + 0.001 * (i % 3), 10.0 + i % 5});
  }
  for (auto _ : state) {
    const auto plan = resolve(recipe, **model);
    benchmark::DoNotOptimize(predict(**model, *plan, cells));
  }
  state.counters["tensors"] = double(recipe.rules.size());
  state.counters["cells"] = double(cells.cells.size());
}
BENCHMARK(predictDrag)->Unit(benchmark::kMicrosecond);

[[maybe_unused]] const bool kRegistered = [] {
  for (const char* name : {"knapsack", "knapsack_exact"}) {
    benchmark::RegisterBenchmark((std::string("solve/") + name).c_str(), solveAgain,
                                 findAllocator(name))
        ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of every allocator on abstract items, then of `solve`, `predict` and `blindMix` on a
// tiny model with invented damages.
#include "core/allocator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

#include "core/architecture.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

using test::TempDir;

struct TestJob {
  Workers workers{1};
  JobControl control;
  JobContext job{workers, control};
};

using Items = std::vector<AllocationItem>;

Items randomItems(std::mt19937& random, size_t count, uint64_t unit) {
  Items items;
  std::uniform_real_distribution<double> noise(0.7, 1.4);
  for (size_t i = 0; i < count; ++i) {
    AllocationItem item;
    item.name = strCat("item ", i);
    const double scale = std::exp(noise(random) * 3);
    uint64_t bytes = 1 + random() % 50;
    const size_t options = 1 + random() % 5;
    for (size_t o = 0; o < options; ++o) {
      item.options.push_back({nullptr, bytes * unit, noise(random) * scale / double(bytes)});
      bytes += 1 + random() % 40;
    }
    std::shuffle(item.options.begin(), item.options.end(), random);
    items.push_back(item);
  }
  return items;
}

std::pair<uint64_t, uint64_t> bounds(const Items& items) {
  uint64_t least = 0, most = 0;
  for (const AllocationItem& item : items) {
    uint64_t small = item.options[0].bytes, large = small;
    for (const AllocationOption& option : item.options) {
      small = std::min(small, option.bytes);
      large = std::max(large, option.bytes);
    }
    least += small;
    most += large;
  }
  return {least, most};
}

double bruteForce(const Items& items, uint64_t budget, size_t from = 0) {
  if (from == items.size()) return 0;
  double best = INFINITY;
  for (const AllocationOption& option : items[from].options) {
    if (option.bytes > budget) continue;
    best = std::min(best, option.damage + bruteForce(items, budget - option.bytes, from + 1));
  }
  return best;
}

Allocation run(std::string_view name, const Items& items, uint64_t budget) {
  TestJob context;
  const auto result = findAllocator(name)->solve(items, budget, context.job);
  EXPECT_TRUE(result) << result.error().message;
  if (!result) return {};
  uint64_t bytes = 0;
  double damage = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    bytes += items[i].options.at(result->option[i]).bytes;
    damage += items[i].options.at(result->option[i]).damage;
  }
  EXPECT_EQ(result->bytes, bytes);
  EXPECT_DOUBLE_EQ(result->damage, damage);
  EXPECT_LE(result->bytes, budget);
  return *result;
}

TEST(Allocators, TheExactOneEqualsBruteForceAndBoundsTheRelaxation) {
  std::mt19937 random(11);
  int worse = 0;
  for (int round = 0; round < 200; ++round) {
    const Items items = randomItems(random, 1 + random() % 6, round % 2 ? 1 : 544);
    const auto [least, most] = bounds(items);
    const uint64_t budget = least + random() % (most - least + 10);
    const double best = bruteForce(items, budget);
    const Allocation exact = run("knapsack_exact", items, budget);
    const Allocation relaxed = run("knapsack", items, budget);
    EXPECT_NEAR(exact.damage, best, 1e-9 * std::abs(best));
    EXPECT_GE(relaxed.damage, best * (1 - 1e-9));
    worse += relaxed.damage > best * (1 + 1e-9);
  }
  EXPECT_LT(worse, 60) << "the relaxation is nearly always optimal on small problems";
}

TEST(Allocators, TheRelaxationIsOptimalAtBudgetsThatItHits) {
  std::mt19937 random(12);
  for (int round = 0; round < 100; ++round) {
    const Items items = randomItems(random, 6, 32);
    // For a price, the cheapest choice of each item; its size is such a budget.
    const double price = std::exp(double(random() % 1000) / 100 - 10);
    uint64_t budget = 0;
    double damage = 0;
    for (const AllocationItem& item : items) {
      const AllocationOption* best = &item.options[0];
      for (const AllocationOption& option : item.options) {
        if (option.damage + price * double(option.bytes) <
            best->damage + price * double(best->bytes)) {
          best = &option;
        }
      }
      budget += best->bytes;
      damage += best->damage;
    }
    EXPECT_NEAR(run("knapsack", items, budget).damage, damage, 1e-9 * damage);
    EXPECT_NEAR(run("knapsack_exact", items, budget).damage, damage, 1e-9 * damage);
  }
}

TEST(Allocators, MoreBudgetNeverMeansMoreDamage) {
  std::mt19937 random(13);
  for (const Allocator* allocator : allocators()) {
    for (int round = 0; round < 4; ++round) {
      // 977 is a prime: hardly any common divisor, so that the exact table must round.
      Items items = randomItems(random, 12, 977);
      for (AllocationItem& item : items) {
        for (AllocationOption& option : item.options) option.bytes += random() % 5000;
      }
      const auto [least, most] = bounds(items);
      double before = INFINITY;
      for (uint64_t budget = least; budget < most + 2000; budget += 1 + (most - least) / 150) {
        const double damage = run(allocator->name, items, budget).damage;
        EXPECT_LE(damage, before * (1 + 1e-12)) << allocator->name << " at " << budget;
        before = damage;
      }
    }
  }
}

TEST(Allocators, ReachBothEndsAndRefuseLess) {
  std::mt19937 random(14);
  for (const Allocator* allocator : allocators()) {
    const Items items = randomItems(random, 20, 34);
    const auto [least, most] = bounds(items);
    EXPECT_EQ(run(allocator->name, items, least).bytes, least);
    double lowest = 0;
    for (const AllocationItem& item : items) {
      double low = INFINITY;
      for (const AllocationOption& option : item.options) low = std::min(low, option.damage);
      lowest += low;
    }
    EXPECT_NEAR(run(allocator->name, items, most * 3).damage, lowest, 1e-9 * lowest);
    TestJob context;
    const auto refused = allocator->solve(items, least - 1, context.job);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
    context.control.cancel();
    EXPECT_EQ(allocator->solve(items, most, context.job).error().code, ErrorCode::Cancelled);
  }
}

TEST(Allocators, WhatALongStepLeavesFreeIsFilledWithShortOnes) {
  for (const Allocator* allocator : allocators()) {
    Items items(11);
    items[0].options = {{nullptr, 1000, 100}, {nullptr, 1001000, 1}};
    for (size_t i = 1; i < items.size(); ++i) {
      items[i].options = {{nullptr, 1000, 1}, {nullptr, 2000, 0.99}};
    }
    const Allocation filled = run(allocator->name, items, 11000 + 10 * 1000 + 5000);
    EXPECT_NEAR(filled.damage, 100 + 10 * 0.99, 1e-9) << allocator->name;
  }
}

TEST(Allocators, LambdaIsThePriceOfTheNextByte) {
  Items items(2);
  items[0].options = {{nullptr, 10, 8}, {nullptr, 20, 3}};
  items[1].options = {{nullptr, 10, 5}, {nullptr, 30, 1}};
  EXPECT_DOUBLE_EQ(run("knapsack", items, 20).lambda, 0.5);
  EXPECT_DOUBLE_EQ(run("knapsack", items, 30).lambda, 0.2);
  EXPECT_DOUBLE_EQ(run("knapsack", items, 50).lambda, 0);
}

class Solve : public testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.feedForward = 172;
    auto opened = Model::open(test::writeTinyModel(m_folder / "tiny.gguf", options));
    ASSERT_TRUE(opened) << opened.error().message;
    m_model = *opened;
    auto graph = buildGraph(*m_model);
    ASSERT_TRUE(graph) << graph.error().message;
    m_graph = *graph;
    for (const char* name : {"tq2_1b4", "tq3_1s", "q4_0", "q8_0", "f16"}) {
      m_request.codecs.push_back(findCodec(name));
    }
    std::mt19937 random(5);
    std::uniform_real_distribution<double> noise(0.5, 2);
    for (const Tensor& tensor : m_model->tensors()) {
      if (!isQuantizable(tensor)) continue;
      const double scale = noise(random);
      std::set<const Codec*> effective;
      for (const Codec* codec : m_request.codecs) {
        effective.insert(effectiveCodec(codec, tensor.rowLength()));
      }
      for (const Codec* codec : effective) {
        const uint64_t bytes = codec->rowBytes(tensor.rowLength()) * tensor.rows();
        const double bits = double(bytes) * 8 / double(tensor.weights());
        m_sensitivity.cells.push_back({tensor.name, std::string(codec->name), "kld",
                                       scale * noise(random) * std::exp2(-2 * bits), 0.01, bytes});
      }
    }
  }

  Result<Solution> solveAt(uint64_t bytes) {
    m_request.fileBytes = bytes;
    TestJob run;
    return solve(*m_model, m_graph, m_sensitivity, m_request, run.job);
  }
  SizeRange range() {
    const auto sizes = reachableSizes(*m_model, m_graph, m_request);
    EXPECT_TRUE(sizes) << sizes.error().message;
    return sizes ? *sizes : SizeRange{};
  }
  std::string codecIn(const Plan& plan, const std::string& tensor) {
    const Choice& choice = plan.tensors[m_model->indexOf(*m_model->find(tensor))];
    return std::string(choice.effective ? choice.effective->name : m_model->find(tensor)->type);
  }

  TempDir m_folder;
  std::shared_ptr<const Model> m_model;
  Graph m_graph;
  Sensitivity m_sensitivity;
  AllocationRequest m_request;
};

TEST_F(Solve, NeverExceedsTheTargetAndWastesLittle) {
  const SizeRange sizes = range();
  ASSERT_LT(sizes.floor, sizes.ceiling);
  for (const char* allocator : {"knapsack", "knapsack_exact"}) {
    m_request.allocator = allocator;
    double before = INFINITY;
    for (uint64_t target = sizes.floor; target < sizes.ceiling + 1000; target += 997) {
      const auto solution = solveAt(target);
      ASSERT_TRUE(solution) << solution.error().message;
      EXPECT_LE(solution->plan.fileBytes, target);
      // The smallest upgrade is 64 rows from q4_0 (36 bytes) to q8_0 (68).
      if (target < sizes.ceiling) {
        EXPECT_GT(solution->plan.fileBytes + 15000, target);
      }
      EXPECT_LE(solution->predicted, before * (1 + 1e-9)) << target;
      before = solution->predicted;
      EXPECT_EQ(resolve(solution->recipe, *m_model)->hash, solution->plan.hash);
    }
  }
}

TEST_F(Solve, BothEndsAreReachedToTheByte) {
  const SizeRange sizes = range();
  EXPECT_EQ(solveAt(sizes.floor)->plan.fileBytes, sizes.floor);
  EXPECT_EQ(solveAt(sizes.ceiling)->plan.fileBytes, sizes.ceiling);
  EXPECT_EQ(solveAt(sizes.ceiling + 12345678)->plan.fileBytes, sizes.ceiling);
  EXPECT_EQ(resolve(uniformRecipe(*findCodec("f16")), *m_model)->fileBytes, sizes.ceiling);
  const auto refused = solveAt(sizes.floor - 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(refused.error().message.find(grouped(sizes.floor)), std::string::npos);
  EXPECT_NE(refused.error().message.find(grouped(sizes.ceiling)), std::string::npos);
}

TEST_F(Solve, PinsSurviveEveryBudget) {
  m_request.pins = {{"output.weight", "q8_0"}, {"blk.*.attn_v.weight", "f16"}};
  const SizeRange sizes = range();
  for (uint64_t target = sizes.floor; target <= sizes.ceiling; target += 9973) {
    const auto solution = solveAt(target);
    ASSERT_TRUE(solution) << solution.error().message;
    EXPECT_EQ(codecIn(solution->plan, "output.weight"), "q8_0");
    EXPECT_EQ(codecIn(solution->plan, "blk.0.attn_v.weight"), "f16");
    EXPECT_EQ(codecIn(solution->plan, "blk.1.attn_v.weight"), "f16");
    EXPECT_TRUE(solution->plan.tensors[m_model->indexOf(*m_model->find("output.weight"))].pinned);
    EXPECT_FALSE(
        solution->plan.tensors[m_model->indexOf(*m_model->find("blk.0.attn_q.weight"))].pinned);
  }
  m_request.pins = {{"output.weight", "q9"}};
  EXPECT_EQ(solveAt(sizes.ceiling).error().message,
            "The pin output.weight=q9 names a codec that does not exist.");
}

TEST_F(Solve, FusedGroupsShareOneCodec) {
  m_request.fuseGroups = true;
  const SizeRange sizes = range();
  std::set<std::string> seen;
  for (uint64_t target = sizes.floor; target <= sizes.ceiling; target += 4999) {
    const auto solution = solveAt(target);
    ASSERT_TRUE(solution) << solution.error().message;
    EXPECT_LE(solution->plan.fileBytes, target);
    for (const std::string block : {"blk.0.", "blk.1."}) {
      const std::string q = codecIn(solution->plan, block + "attn_q.weight");
      seen.insert(q);
      EXPECT_EQ(codecIn(solution->plan, block + "attn_k.weight"), q);
      EXPECT_EQ(codecIn(solution->plan, block + "attn_v.weight"), q);
      EXPECT_EQ(codecIn(solution->plan, block + "ffn_gate.weight"),
                codecIn(solution->plan, block + "ffn_up.weight"));
    }
  }
  EXPECT_GT(seen.size(), 2u);
  m_request.pins = {{"blk.0.attn_k.weight", "q8_0"}};
  EXPECT_EQ(codecIn(solveAt(range().floor)->plan, "blk.0.attn_q.weight"), "q8_0");
  m_request.pins["blk.0.attn_v.weight"] = "q4_0";
  EXPECT_FALSE(solveAt(sizes.ceiling));
}

TEST_F(Solve, AnUnmeasuredTensorIsNamed) {
  std::erase_if(m_sensitivity.cells,
                [](const Cell& cell) { return cell.tensor == "blk.1.ffn_up.weight"; });
  const auto solution = solveAt(range().ceiling);
  ASSERT_FALSE(solution);
  EXPECT_EQ(solution.error().code, ErrorCode::NotFound);
  EXPECT_NE(solution.error().message.find("blk.1.ffn_up.weight"), std::string::npos);
}

TEST_F(Solve, PredictAddsCellsAndSaysWhenOneIsMissing) {
  const auto plan = resolve(uniformRecipe(*findCodec("q4_0")), *m_model);
  double sum = 0, squares = 0;
  for (const Cell& cell : m_sensitivity.cells) {
    const bool counted = cell.codec == "q4_0" ||
                         (cell.codec == "f16" && cell.tensor.find("ffn_down") != std::string::npos);
    if (!counted) continue;
    sum += cell.value;
    squares += cell.error * cell.error;
  }
  const Prediction prediction = predict(*m_model, *plan, m_sensitivity);
  EXPECT_NEAR(prediction.value, sum, 1e-12);
  EXPECT_NEAR(prediction.error, std::sqrt(squares), 1e-12);
  EXPECT_EQ(predict(*m_model, *resolve(Recipe(), *m_model), m_sensitivity).value, 0);
  const auto unknown = resolve(uniformRecipe(*findCodec("q5_0")), *m_model);
  EXPECT_TRUE(std::isnan(predict(*m_model, *unknown, m_sensitivity).value));
}

TEST_F(Solve, TheBlindMixTakesTheTwoNeighboursAndFillsTheTarget) {
  const auto sizeOf = [&](const char* codec) {
    return resolve(uniformRecipe(*findCodec(codec)), *m_model)->fileBytes;
  };
  m_request.codecs = {findCodec("tq3_1s"), findCodec("q4_0"), findCodec("q8_0")};
  m_request.fileBytes = (sizeOf("q4_0") + sizeOf("q8_0")) / 2;
  std::set<std::string> recipes;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    TestJob run;
    const auto recipe = blindMix(*m_model, m_graph, m_sensitivity, m_request, seed, run.job);
    ASSERT_TRUE(recipe) << recipe.error().message;
    const auto plan = resolve(*recipe, *m_model);
    ASSERT_TRUE(plan);
    EXPECT_LE(plan->fileBytes, m_request.fileBytes);
    // The largest step that may not fit: 172 rows from 36 to 68 bytes.
    EXPECT_GT(plan->fileBytes + 6000, m_request.fileBytes);
    std::set<std::string> used;
    for (const Rule& rule : recipe->rules) used.insert(rule.codec);
    EXPECT_EQ(used, (std::set<std::string>{"f16", "q4_0", "q8_0"}));
    TestJob again;
    EXPECT_EQ(*recipe, *blindMix(*m_model, m_graph, m_sensitivity, m_request, seed, again.job));
    std::string text;
    for (const Rule& rule : recipe->rules) text += rule.codec + " ";
    recipes.insert(text);
  }
  EXPECT_GT(recipes.size(), 1u);
  TestJob run;
  m_request.fileBytes = sizeOf("q4_0");
  EXPECT_EQ(resolve(*blindMix(*m_model, m_graph, m_sensitivity, m_request, 1, run.job), *m_model)
                ->fileBytes,
            sizeOf("q4_0"));
  m_request.fileBytes = sizeOf("tq3_1s") - 1;
  EXPECT_FALSE(blindMix(*m_model, m_graph, m_sensitivity, m_request, 1, run.job));
  m_request.pins = {{"output.weight", "f16"}};
  m_request.fileBytes = sizeOf("q8_0");
  const auto pinned = blindMix(*m_model, m_graph, m_sensitivity, m_request, 1, run.job);
  ASSERT_TRUE(pinned) << pinned.error().message;
  EXPECT_EQ(codecIn(*resolve(*pinned, *m_model), "output.weight"), "f16");
}

}  // namespace
}  // namespace bitloom

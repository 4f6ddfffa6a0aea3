// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocator.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/allocators/knapsack/problem.h"
#include "core/allocators/knapsack/relaxation.h"
#include "core/base/random.h"

namespace bitloom {
namespace {

uint64_t extreme(const AllocationItem& item, bool largest) {
  uint64_t bytes = item.options.front().bytes;
  for (const AllocationOption& option : item.options) {
    bytes = largest ? std::max(bytes, option.bytes) : std::min(bytes, option.bytes);
  }
  return bytes;
}

SizeRange rangeOf(const Problem& problem) {
  uint64_t smallest = 0;
  uint64_t largest = 0;
  for (const AllocationItem& item : problem.items) {
    smallest += extreme(item, false);
    largest += extreme(item, true);
  }
  return {problem.fileBytes(smallest), problem.fileBytes(largest)};
}

std::string sizeText(uint64_t bytes) {
  return strCat(grouped(bytes), " bytes (", binarySize(bytes), ")");
}

Error belowFloor(uint64_t target, const SizeRange& range) {
  return makeError(ErrorCode::InvalidArgument, "A file of ", sizeText(target),
                   " cannot be reached: the candidates and pins allow ", sizeText(range.floor),
                   " to ", sizeText(range.ceiling), ".");
}

// Each uniform choice as one option: all items at candidate c. Candidates with an unmeasured cell
// are left out.
struct Uniform {
  std::vector<AllocationOption> options;
  std::vector<size_t> candidate;  // of each option
};

Uniform uniformChoices(const Problem& problem, const AllocationRequest& request) {
  Uniform uniform;
  for (size_t c = 0; c < request.codecs.size(); ++c) {
    AllocationOption sum{request.codecs[c], 0, 0};
    bool complete = true;
    for (size_t i = 0; i < problem.items.size() && complete; ++i) {
      const size_t option = problem.optionOf[i][c];
      complete = option != kNoOption;
      if (!complete) break;
      sum.bytes += problem.items[i].options[option].bytes;
      sum.damage += problem.items[i].options[option].damage;
    }
    if (!complete) continue;
    uniform.options.push_back(sum);
    uniform.candidate.push_back(c);
  }
  return uniform;
}

// Raises randomly chosen items from candidate `low` to `high` while they fit.
std::vector<size_t> mixAtRandom(const Problem& problem, size_t low, size_t high, uint64_t budget,
                                uint64_t seed) {
  std::vector<size_t> options;
  std::vector<size_t> order;
  int64_t left = int64_t(budget);
  for (size_t i = 0; i < problem.items.size(); ++i) {
    options.push_back(problem.optionOf[i][low]);
    order.push_back(i);
    left -= int64_t(problem.items[i].options[options[i]].bytes);
  }
  uint64_t state = seed;
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[nextRandom(state) % i]);
  }
  for (const size_t i : order) {
    const AllocationItem& item = problem.items[i];
    const size_t raised = problem.optionOf[i][high];
    const int64_t more =
        int64_t(item.options[raised].bytes) - int64_t(item.options[options[i]].bytes);
    if (more > left) continue;
    left -= more;
    options[i] = raised;
  }
  return options;
}

}  // namespace

Result<SizeRange> reachableSizes(const Model& model, const Graph& graph,
                                 const AllocationRequest& request) {
  TRY(const Problem problem, makeProblem(model, graph, request, nullptr));
  return rangeOf(problem);
}

Result<Solution> solve(const Model& model, const Graph& graph, const Sensitivity& sensitivity,
                       const AllocationRequest& request, JobContext& job) {
  TRY(const Allocator* allocator, allocatorOf(request));
  TRY(const Problem problem, makeProblem(model, graph, request, &sensitivity));
  const SizeRange range = rangeOf(problem);
  if (request.fileBytes < range.floor) return belowFloor(request.fileBytes, range);
  AllocationTask task{.items = problem.items, .budget = problem.budget(request.fileBytes)};
  if (request.measure) {
    task.measure = [&](const std::vector<size_t>& options, JobContext& running) -> Result<double> {
      Recipe recipe = recipeFor(problem, model, request, options, "");
      for (Rule& rule : recipe.rules) rule.method = sensitivity.method;
      TRY(const Plan plan, resolve(recipe, model));
      return request.measure(plan, running);
    };
  }
  TRY(const Allocation allocation, allocator->solve(task, job));
  TRY(Solution solution, solutionOf(problem, model, sensitivity, request, allocation,
                                    strCat("mix ", binarySize(request.fileBytes))));
  CHECK(solution.plan.fileBytes <= request.fileBytes);
  return solution;
}

Result<Recipe> blindMix(const Model& model, const Graph& graph, const Sensitivity& sensitivity,
                        const AllocationRequest& request, uint64_t seed, JobContext& job) {
  TRY(job.checkpoint());
  TRY(const Problem problem, makeProblem(model, graph, request, &sensitivity));
  const Uniform uniform = uniformChoices(problem, request);
  if (uniform.options.empty()) {
    return makeError(ErrorCode::NotFound,
                     "The scan has no candidate codec with a cell for every tensor, so there is no "
                     "uniform recipe to mix.");
  }
  const std::vector<size_t> hull = lowerHull(uniform.options);
  const uint64_t budget = problem.budget(request.fileBytes);
  if (uniform.options[hull.front()].bytes > budget) {
    const AllocationOption& smallest = uniform.options[hull.front()];
    return makeError(ErrorCode::InvalidArgument, "A blind mix of ", sizeText(request.fileBytes),
                     " cannot be made: the smallest uniform choice, ", smallest.codec->name,
                     ", needs ", sizeText(problem.fileBytes(smallest.bytes)), ".");
  }
  size_t low = 0;
  while (low + 1 < hull.size() && uniform.options[hull[low + 1]].bytes <= budget) ++low;
  const size_t high = std::min(low + 1, hull.size() - 1);
  const std::vector<size_t> options = mixAtRandom(problem, uniform.candidate[hull[low]],
                                                  uniform.candidate[hull[high]], budget, seed);
  Recipe recipe = recipeFor(problem, model, request, options, strCat("blind mix, seed ", seed));
  recipe.name = strCat("blind mix ", binarySize(request.fileBytes));
  for (Rule& rule : recipe.rules) rule.method = sensitivity.method;
  return recipe;
}

}  // namespace bitloom

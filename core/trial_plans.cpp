// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/trial_plans.h"

#include <algorithm>

#include "core/base/random.h"

namespace bitloom {

Result<std::vector<Plan>> randomMixes(const Model& model, std::span<const Codec* const> codecs,
                                      std::string_view method, size_t count, uint64_t seed) {
  std::vector<const Codec*> ladder(codecs.begin(), codecs.end());
  std::stable_sort(ladder.begin(), ladder.end(),
                   [](const Codec* a, const Codec* b) { return a->bits < b->bits; });
  std::vector<Plan> plans;
  if (ladder.empty()) return plans;
  const size_t window = std::min<size_t>(3, ladder.size());
  for (size_t n = 0; n < count; ++n) {
    const size_t rung = nextRandom(seed) % (ladder.size() - window + 1);
    Recipe recipe;
    for (const Tensor& tensor : model.tensors()) {
      if (!isQuantizable(tensor)) continue;
      const Codec* codec = ladder[rung + nextRandom(seed) % window];
      recipe.rules.push_back({tensor.name, std::string(codec->name), std::string(method)});
    }
    TRY(Plan plan, resolve(recipe, model));
    plans.push_back(std::move(plan));
  }
  return plans;
}

Result<std::vector<Plan>> solvedPlans(const Model& model, const Graph& graph,
                                      const Sensitivity& cells,
                                      std::span<const Codec* const> codecs, size_t count,
                                      double shift, JobContext& job) {
  AllocationRequest request{.codecs = {codecs.begin(), codecs.end()}};
  TRY(const SizeRange range, reachableSizes(model, graph, request));
  std::vector<Plan> plans;
  for (size_t n = 0; n < count; ++n) {
    const double part = (double(n) + 0.7 + shift) / (double(count) + 2);
    request.fileBytes = range.floor + uint64_t(part * double(range.ceiling - range.floor));
    TRY(Solution solution, solve(model, graph, cells, request, job));
    plans.push_back(std::move(solution.plan));
  }
  return plans;
}

Result<PredictedPlan> tryPlan(const Variant& reference, const Predictor& predictor,
                              const Plan& plan, const Calibration* calibration, LiveLoop& probe,
                              JobContext& job) {
  Variant variant = reference.copy();
  variant.setPlan(plan, calibration);
  TRY(const ProbeResult measured, probe.measure(variant, job));
  const Prediction predicted = predictor.uncorrected(plan);
  return PredictedPlan{predicted.value, measured.kld.mean, predicted.spread};
}

}  // namespace bitloom

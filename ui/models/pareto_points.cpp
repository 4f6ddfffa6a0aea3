// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/pareto_points.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "ui/document.h"

namespace bitloom {
namespace {

constexpr int kCurvePoints = 24;
constexpr size_t kSavedPlans = 8;

std::optional<DamageAnchor> anchorOf(const ParetoInput& input, const Recipe& recipe,
                                     const QString& title) {
  const auto plan = resolve(recipe, *input.model);
  if (!plan) return std::nullopt;
  const Prediction damage = predict(*input.model, *plan, input.cells);
  if (!std::isfinite(damage.value)) return std::nullopt;
  return DamageAnchor{title, {}, damage.value, damage.error, plan->fileBytes};
}

QString titleOf(const Codec& codec) {
  return QString::fromUtf8(codec.title.data(), qsizetype(codec.title.size()));
}

}  // namespace

ParetoInput ParetoInput::of(Document& document) {
  ParetoInput input;
  input.model = document.sharedModel();
  input.graph = document.graph();
  input.cells = document.predictingCells();
  input.ladder = document.ladder();
  input.pins = document.pins();
  input.profile = document.recipe().profile;
  const auto runs = document.store().runs(document.model().fingerprint());
  if (!runs) return input;
  for (const Run& run : *runs) {
    const bool plan = run.kind == RunKind::Plan || run.kind == RunKind::Quantize;
    if (!plan || run.recipeJson.empty() || input.saved.size() >= kSavedPlans) continue;
    const QString title = QString::fromStdString(run.title);
    const bool known = std::any_of(input.saved.begin(), input.saved.end(),
                                   [&](const auto& s) { return s.second == run.recipeJson; });
    if (!known) input.saved.emplace_back(title, run.recipeJson);
  }
  return input;
}

Result<ParetoPoints> paretoPoints(const ParetoInput& input, JobContext& job) {
  ParetoPoints points;
  for (const Codec* codec : input.ladder) {
    auto anchor = anchorOf(input, uniformRecipe(*codec), titleOf(*codec));
    if (!anchor) continue;
    anchor->codec = QString::fromUtf8(codec->name.data(), qsizetype(codec->name.size()));
    points.uniform.push_back(*anchor);
  }
  for (const auto& [title, json] : input.saved) {
    const auto recipe = parseRecipe(json, title.toStdString());
    if (!recipe) continue;
    if (const auto anchor = anchorOf(input, *recipe, title)) points.saved.push_back(*anchor);
  }
  AllocationRequest request;
  request.codecs = input.ladder;
  request.pins = input.pins;
  request.profile = input.profile;
  const auto range = reachableSizes(*input.model, input.graph, request);
  if (!range) return points;
  for (int i = 0; i < kCurvePoints; ++i) {
    TRY(job.checkpoint());
    const double share = double(i) / (kCurvePoints - 1);
    request.fileBytes = range->floor + uint64_t(share * double(range->ceiling - range->floor));
    const auto solution = solve(*input.model, input.graph, input.cells, request, job);
    if (!solution) {
      if (solution.error().code == ErrorCode::Cancelled) return solution.error();
      break;  // no cells yet: uniform codecs and saved plans remain
    }
    points.curve.push_back(
        {solution->plan.fileBytes, solution->predicted.value, solution->predicted.error});
  }
  return points;
}

}  // namespace bitloom

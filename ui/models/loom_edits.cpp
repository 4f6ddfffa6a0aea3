// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/loom_edits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "core/base/strings.h"
#include "ui/document.h"

namespace bitloom {
namespace {

// What the plan asks of a tensor; the source's codec where nothing is asked.
const Codec* requestedCodec(const Document& document, size_t tensor) {
  const auto& choices = document.plan().tensors;
  const Codec* codec = tensor < choices.size() ? choices[tensor].requested : nullptr;
  return codec ? codec : document.model().tensors()[tensor].codec;
}

std::string steppedCodec(const Document& document, size_t tensor, int steps) {
  const auto& ladder = document.ladder();
  const Codec* now = requestedCodec(document, tensor);
  const Codec* source = document.model().tensors()[tensor].codec;
  const double bits = now->bits;
  std::vector<const Codec*> beyond;  // in walking order
  for (const Codec* codec : ladder) {
    if (steps > 0 ? codec->bits > bits : codec->bits < bits) beyond.push_back(codec);
  }
  if (steps < 0) std::reverse(beyond.begin(), beyond.end());
  const size_t count = size_t(std::abs(steps));
  if (beyond.size() >= count) return std::string(beyond[count - 1]->name);
  const bool aboveLadder = !ladder.empty() && source && source->bits > ladder.back()->bits;
  if (steps > 0 && aboveLadder) return "";
  if (!beyond.empty()) return std::string(beyond.back()->name);
  return std::string(now->name);
}

Plan only(const Plan& plan, const std::set<size_t>& tensors) {
  Plan part;
  for (const Choice& choice : plan.tensors) {
    part.tensors.push_back(choice);
    if (tensors.count(choice.tensor)) continue;
    part.tensors.back().requested = nullptr;
    part.tensors.back().effective = nullptr;
  }
  return part;
}

Recipe uniformWithPins(const Document& document, const Codec& codec) {
  Recipe recipe = uniformRecipe(codec);
  recipe.profile = document.recipe().profile;
  for (const Rule& rule : document.recipe().rules) {
    if (rule.pinned) recipe.rules.push_back(rule);
  }
  return recipe;
}

}  // namespace

Recipe assign(const Recipe& recipe, const Model& model, const CodecChoices& choices,
              const std::string& why) {
  Recipe edited = recipe;
  edited.name.clear();  // no longer the recipe of that name
  for (const auto& [tensor, codec] : choices) {
    const Codec* source = model.tensors()[tensor].codec;
    if (!source) continue;
    const std::string& name = model.tensors()[tensor].name;
    Rule rule;
    rule.pattern = name;
    std::erase_if(edited.rules, [&](const Rule& old) {
      if (old.pattern != name) return false;
      rule = old;
      return true;
    });
    rule.codec = codec.empty() ? std::string(source->name) : codec;
    rule.why = why;
    edited.rules.push_back(std::move(rule));
  }
  return edited;
}

CodecChoices stepped(const Document& document, const std::vector<size_t>& tensors, int steps) {
  CodecChoices choices;
  for (const size_t tensor : tensors) {
    if (!document.isPinned(tensor)) choices[tensor] = steppedCodec(document, tensor, steps);
  }
  return choices;
}

CodecChoices allSetTo(const Document& document, const std::vector<size_t>& tensors,
                      const std::string& codec) {
  CodecChoices choices;
  for (const size_t tensor : tensors) {
    if (!document.isPinned(tensor)) choices[tensor] = codec;
  }
  return choices;
}

const Codec* rungNear(const std::vector<const Codec*>& ladder, double bits) {
  const auto nearer = [bits](const Codec* a, const Codec* b) {
    return std::abs(a->bits - bits) < std::abs(b->bits - bits);
  };
  const auto rung = std::min_element(ladder.begin(), ladder.end(), nearer);
  return rung == ladder.end() ? nullptr : *rung;
}

const Sensitivity& solverCells(const Document& document) {
  for (const Metric* metric : metricsByWorth()) {
    const Sensitivity& cells = document.sensitivity(std::string(metric->name));
    if (!cells.cells.empty()) return cells;
  }
  return document.sensitivity("kld");
}

double meanBits(const Model& model, const Plan& plan, const std::vector<size_t>& tensors) {
  uint64_t bytes = 0;
  uint64_t weights = 0;
  for (const size_t tensor : tensors) {
    if (tensor >= plan.tensors.size()) continue;
    bytes += plan.tensors[tensor].bytes;
    weights += model.tensors()[tensor].weights();
  }
  return weights ? double(bytes) * 8 / double(weights) : 0;
}

Prediction predictedChange(const Plan& before, const Plan& after, const Predictor& predictor) {
  std::set<size_t> changed;
  const size_t count = std::min(before.tensors.size(), after.tensors.size());
  for (size_t i = 0; i < count; ++i) {
    if (before.tensors[i].effective != after.tensors[i].effective) changed.insert(i);
  }
  if (changed.empty()) return {};
  if (predictor.isCorrected()) {  // what a tensor does depends on the others: whole plans compared
    const Prediction was = predictor.predict(before);
    const Prediction is = predictor.predict(after);
    const double change = is.value - was.value;
    return {.value = change, .error = std::abs(change) * is.error / is.value};
  }
  const Prediction was = predictor.predict(only(before, changed));
  const Prediction is = predictor.predict(only(after, changed));
  return {.value = is.value - was.value, .error = std::hypot(is.error, was.error)};
}

Result<Recipe> holdTotal(const Document& document, const Recipe& edited,
                         const std::vector<size_t>& tensors, uint64_t fileBytes) {
  AllocationRequest request;
  request.fileBytes = fileBytes;
  request.codecs = document.ladder();
  request.profile = edited.profile;
  request.pins = document.pins();
  std::set<std::string> held;  // edited names that must not stay pinned
  TRY(const Plan plan, resolve(edited, document.model()));
  for (const size_t tensor : tensors) {
    const std::string& name = document.model().tensors()[tensor].name;
    const Codec* codec = plan.tensors[tensor].requested;
    if (!codec) codec = document.model().tensors()[tensor].codec;
    if (request.pins.emplace(name, std::string(codec->name)).second) held.insert(name);
  }
  JobControl control;
  JobContext job(const_cast<Document&>(document).jobs().workers(), control, JobPriority::Probe);
  TRY(Solution solution,
      solve(document.model(), document.graph(), solverCells(document), request, job));
  solution.recipe.name.clear();
  for (Rule& rule : solution.recipe.rules) {
    if (!held.count(rule.pattern)) continue;
    rule.pinned = false;
    rule.why = "dragged, total held";
  }
  return solution.recipe;
}

Result<Recipe> bestUniform(const Document& document, uint64_t fileBytes) {
  std::optional<Recipe> best;
  uint64_t bestBytes = 0;
  uint64_t smallest = std::numeric_limits<uint64_t>::max();
  for (const Codec* codec : document.ladder()) {
    Recipe recipe = uniformWithPins(document, *codec);
    TRY(const Plan plan, resolve(recipe, document.model()));
    smallest = std::min(smallest, plan.fileBytes);
    if (plan.fileBytes > fileBytes || plan.fileBytes <= bestBytes) continue;
    bestBytes = plan.fileBytes;
    best = std::move(recipe);
  }
  if (best) return *best;
  return makeError(ErrorCode::InvalidArgument, "No uniform codec fits ", decimalSize(fileBytes),
                   "; the smallest file is ", decimalSize(smallest), ".");
}

Result<SizeRange> uniformSizes(const Document& document) {
  SizeRange range{std::numeric_limits<uint64_t>::max(), 0};
  for (const Codec* codec : document.ladder()) {
    TRY(const Plan plan, resolve(uniformWithPins(document, *codec), document.model()));
    range.floor = std::min(range.floor, plan.fileBytes);
    range.ceiling = std::max(range.ceiling, plan.fileBytes);
  }
  return range;
}

}  // namespace bitloom

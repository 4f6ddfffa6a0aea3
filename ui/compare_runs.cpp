// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/compare_runs.h"

#include <QCoreApplication>
#include <cmath>

#include "core/recipe.h"
#include "ui/format.h"
#include "ui/models/run_table.h"

namespace bitloom {
namespace {

constexpr double kNoise = 1.96;  // standard errors of the difference

QString text(const char* source) { return QCoreApplication::translate("compare", source); }

void addMeasured(RunDifference& result, const QString& name,
                 const std::optional<RunFigures::Value>& a,
                 const std::optional<RunFigures::Value>& b, QString (*show)(double, double)) {
  if (!a && !b) return;
  RunDifference::Figure figure;
  figure.name = name;
  if (a) figure.first = show(a->mean, a->error);
  if (b) figure.second = show(b->mean, b->error);
  if (a && b) {
    const double error = std::hypot(a->error, b->error);
    figure.tied = std::abs(b->mean - a->mean) <= kNoise * error;
    figure.difference = show(b->mean - a->mean, error);
    if (figure.tied) figure.difference += text(" (tie)");
  }
  result.figures.push_back(std::move(figure));
}

QString showShare(double value, double error) {
  return error > 0 ? text("%1 ± %2 %").arg(value * 100, 0, 'f', 1).arg(error * 100, 0, 'f', 1)
                   : formatPercent(value);
}

QString signedSize(int64_t bytes) {
  const QString size = formatGB(uint64_t(std::abs(bytes)));
  return bytes < 0 ? "−" + size : "+" + size;
}

Result<Plan> planOf(const Run& run, const Model& model) {
  TRY(auto recipe, parseRecipe(run.recipeJson, run.title));
  return resolve(recipe, model);
}

QString codecText(const Choice& choice, const Tensor& tensor) {
  const Codec* codec = choice.effective != nullptr ? choice.effective : tensor.codec;
  return codec ? QString::fromUtf8(codec->name.data(), qsizetype(codec->name.size()))
               : QString::fromStdString(tensor.type);
}

}  // namespace

RunDifference compareRuns(const Run& first, const Run& second, const Model* model) {
  RunDifference result;
  if (first.bytes > 0 && second.bytes > 0) {
    const int64_t bytes = int64_t(second.bytes) - int64_t(first.bytes);
    result.figures.push_back({text("size"), formatGB(first.bytes), formatGB(second.bytes),
                              signedSize(bytes), bytes == 0});
    result.figures.push_back({text("bits per weight"), formatBpw(first.bitsPerWeight),
                              formatBpw(second.bitsPerWeight),
                              formatBpw(second.bitsPerWeight - first.bitsPerWeight),
                              first.bitsPerWeight == second.bitsPerWeight});
  }
  const RunFigures a = figuresOf(first);
  const RunFigures b = figuresOf(second);
  addMeasured(result, text("mean KLD"), a.kld, b.kld, formatKldError);
  addMeasured(result, text("same top token"), a.sameTop, b.sameTop, showShare);
  addMeasured(result, text("perplexity"), a.perplexity, b.perplexity, formatKldError);

  if (model == nullptr || first.fingerprint != model->fingerprint() ||
      second.fingerprint != model->fingerprint()) {
    result.note = text("Tensors are compared when the runs' model is open.");
    return result;
  }
  const auto planA = planOf(first, *model);
  const auto planB = planOf(second, *model);
  if (!planA || !planB) {
    result.note = text("One of the runs has no plan.");
    return result;
  }
  for (size_t i = 0; i < planA->tensors.size(); ++i) {
    const Tensor& tensor = model->tensors()[i];
    const QString codecA = codecText(planA->tensors[i], tensor);
    const QString codecB = codecText(planB->tensors[i], tensor);
    if (codecA == codecB) continue;
    result.changes.push_back({QString::fromStdString(tensor.name), codecA, codecB,
                              int64_t(planB->tensors[i].bytes) - int64_t(planA->tensors[i].bytes)});
  }
  if (result.changes.empty()) result.note = text("Both plans are the same, tensor by tensor.");
  return result;
}

}  // namespace bitloom

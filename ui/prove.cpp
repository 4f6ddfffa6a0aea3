// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/prove.h"

#include <QCoreApplication>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "core/builtin.h"
#include "core/statistics.h"
#include "ui/format.h"

namespace bitloom {
namespace {

constexpr uint32_t kContext = 512;
constexpr uint32_t kWindows = 6;  // of each text
constexpr uint64_t kBlindSeed = 1;
constexpr double kSameSize = 0.03;  // rivals this close in bytes count as "the same size"

QString text(const char* source) { return QCoreApplication::translate("prove", source); }

// The uniform plans next below and next above the plan's size.
Result<void> addUniform(const ProveRequest& request, const Model& model, ProveReport& report) {
  std::optional<ProveRow> below, above;
  const Plan& plan = report.rows.front().plan;
  for (const Codec* codec : request.ladder) {
    ProveRow row;
    row.title = text("uniform %1")
                    .arg(QString::fromUtf8(codec->title.data(), qsizetype(codec->title.size())));
    row.recipe = uniformRecipe(*codec);
    TRY(row.plan, resolve(row.recipe, model));
    if (row.plan.hash == plan.hash) continue;
    const bool fits = row.plan.fileBytes <= plan.fileBytes;
    std::optional<ProveRow>& best = fits ? below : above;
    const bool better = !best || (fits ? row.plan.fileBytes > best->plan.fileBytes
                                       : row.plan.fileBytes < best->plan.fileBytes);
    if (better) best = std::move(row);
  }
  if (below) report.rows.push_back(std::move(*below));
  if (above) report.rows.push_back(std::move(*above));
  return {};
}

void addBlindMix(ModelWork& work, const ProveRequest& request, const Graph& graph,
                 ProveReport& report, JobContext& job) {
  if (request.cells.cells.empty()) return;
  AllocationRequest allocation;
  allocation.fileBytes = report.rows.front().plan.fileBytes;
  allocation.codecs = request.ladder;
  allocation.profile = request.recipe.profile;
  auto recipe = blindMix(*work.model, graph, request.cells, allocation, kBlindSeed, job);
  if (!recipe) return;  // cells do not cover the model: there is no such rival yet
  auto plan = resolve(*recipe, *work.model);
  if (!plan || plan->hash == report.rows.front().plan.hash) return;
  report.rows.push_back({text("a blind mix"), std::move(*recipe), std::move(*plan), {}, {}, false});
}

QString sentence(const ProveReport& report) {
  const ProveRow& plan = report.rows.front();
  if (plan.evaluation.kld.mean == 0) return text("The plan is the source: nothing is lost.");
  QStringList parts;
  for (size_t i = 1; i < report.rows.size(); ++i) {
    const ProveRow& rival = report.rows[i];
    const double bytes = double(plan.plan.fileBytes) / double(rival.plan.fileBytes) - 1;
    const QString size = std::abs(bytes) < kSameSize ? text("at the same size")
                         : bytes > 0 ? text("at %1 more bytes").arg(formatPercent(bytes))
                                     : text("at %1 fewer bytes").arg(formatPercent(-bytes));
    const PairedFigure ratio = comparePaired(plan.evaluation, rival.evaluation).kldRatio;
    if (ratio.tie) {
      parts << text("is a tie with %1 %2").arg(rival.title, size);
      continue;
    }
    parts << text("has %1 × (%2 … %3) the divergence of %4 %5")
                 .arg(ratio.value, 0, 'f', 2)
                 .arg(ratio.interval.low, 0, 'f', 2)
                 .arg(ratio.interval.high, 0, 'f', 2)
                 .arg(rival.title, size);
  }
  if (parts.isEmpty()) return text("There is no rival to compare with.");
  return text("On held-out text this plan %1.").arg(parts.join("; "));
}

QJsonObject figures(const Evaluation& e) {
  return {{"perplexity", QJsonObject{{"mean", e.perplexity},
                                     {"error", e.perplexityError},
                                     {"low", e.perplexityInterval.low},
                                     {"high", e.perplexityInterval.high}}},
          {"kld", QJsonObject{{"mean", e.kld.mean},
                              {"error", e.kld.error},
                              {"low", e.kldInterval.low},
                              {"high", e.kldInterval.high},
                              {"p99", e.kldP99},
                              {"p99_9", e.kldP999},
                              {"max", e.kldMax}}},
          {"same_top", QJsonObject{{"share", e.sameTop.mean},
                                   {"error", e.sameTop.error},
                                   {"low", e.sameTopInterval.low},
                                   {"high", e.sameTopInterval.high},
                                   {"ties", qint64(e.tiedTops)}}},
          {"tokens", qint64(e.tokens)},
          {"windows", qint64(e.windows)},
          {"seconds", e.seconds}};
}

// Windows from all over each of the held-out texts.
Result<StrataWindows> heldOut(const Tokenizer& tokenizer, const Graph& graph) {
  TRY(const auto texts, builtinStrata());
  const EvaluateOptions options{.contextLength = std::min(kContext, graph.contextLength),
                                .maxChunks = kWindows};
  return makeStrata(tokenizer, texts, options, Sampling::Spread);
}

// Every row's evaluation, all in one pass.
Result<void> measure(ModelWork& work, const Variant& reference, const Windows& windows,
                     ProveReport& report, JobContext& job) {
  std::vector<Variant> variants;
  std::vector<std::shared_ptr<const Calibration>> statistics;  // variants refer to them
  for (const ProveRow& row : report.rows) {
    Variant variant = reference.copy();
    TRY(auto calibration, work.calibrationFor(row.plan, job));
    variant.setPlan(row.plan, calibration.get());
    variants.push_back(std::move(variant));
    statistics.push_back(std::move(calibration));
  }
  std::vector<const Variant*> pointers;
  for (const Variant& variant : variants) pointers.push_back(&variant);
  TRY(auto results, evaluateAll(pointers, &reference, windows, job));
  for (size_t i = 0; i < results.size(); ++i) report.rows[i].evaluation = std::move(results[i]);
  return {};
}

}  // namespace

Result<ProveReport> prove(ModelWork& work, const ProveRequest& request, JobContext& job) {
  if (work.tokenizer == nullptr) {
    return makeError(ErrorCode::NotFound, work.model->name(),
                     ": a proof needs text, and this model has no tokenizer.");
  }
  ProveReport report;
  TRY(auto plan, resolve(request.recipe, *work.model));
  report.rows.push_back(
      {text("this plan · %1").arg(request.label), request.recipe, std::move(plan), {}, {}, false});
  TRY(auto reference, work.reference());
  JobDevice device = request.device;
  device.open();
  device.computeOn(reference);
  const Graph graph = reference.graph();
  TRY(addUniform(request, *work.model, report));
  addBlindMix(work, request, graph, report, job);

  TRY(auto path, builtinEvaluationText());
  report.text = QString::fromStdString(path.filename().string());
  TRY(const StrataWindows heldOutText, heldOut(*work.tokenizer, graph));
  TRY(measure(work, reference, heldOutText.windows, report, job));
  report.use = device.use(reference);
  for (ProveRow& row : report.rows) {
    row.strata = byStratum(row.evaluation, heldOutText.strata);
    row.tied = &row != &report.rows.front() &&
               comparePaired(report.rows.front().evaluation, row.evaluation).kldDifference.tie;
  }
  report.worst = worstStratum(report.rows.front().strata);
  report.verdict = sentence(report);
  return report;
}

std::string toJson(const ProveReport& report) {
  QJsonObject result = figures(report.rows.front().evaluation);
  QJsonArray rivals;
  for (size_t i = 1; i < report.rows.size(); ++i) {
    QJsonObject rival = figures(report.rows[i].evaluation);
    rival["name"] = report.rows[i].title;
    rival["bytes"] = qint64(report.rows[i].plan.fileBytes);
    rival["bpw"] = report.rows[i].plan.bitsPerWeight;
    rival["tie"] = report.rows[i].tied;
    const PairedFigure ratio =
        comparePaired(report.rows.front().evaluation, report.rows[i].evaluation).kldRatio;
    rival["ratio"] = QJsonObject{{"value", ratio.value},
                                 {"low", ratio.interval.low},
                                 {"high", ratio.interval.high}};  // of the plan to the rival
    rivals << rival;
  }
  result["rivals"] = rivals;
  QJsonArray strata;
  for (const StratumResult& stratum : report.rows.front().strata) {
    QJsonObject row = figures(stratum.evaluation);
    row["name"] = QString::fromStdString(stratum.name);
    strata << row;
  }
  result["strata"] = strata;
  if (report.worst) {
    const std::string& name = report.rows.front().strata[report.worst->index].name;
    result["worst_stratum"] =
        QJsonObject{{"name", QString::fromStdString(name)}, {"tie", report.worst->tied}};
  }
  result["verdict"] = report.verdict;
  result["text"] = report.text;
  return QJsonDocument(result).toJson(QJsonDocument::Compact).toStdString();
}

}  // namespace bitloom

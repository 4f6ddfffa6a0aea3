// SPDX-License-Identifier: GPL-3.0-or-later
// Runs → Report. A stored result may come from an older version: what it lacks is left out.
#include "core/report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/strings.h"
#include "core/io/output_file.h"
#include "core/recipe.h"
#include "core/report_parts.h"

namespace bitloom {
namespace {

using Json = nlohmann::json;
using Value = ReportTable::Value;
using reporting::nats;
using reporting::shown;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kShownRuns = 20;

double numberAt(const Json& object, const char* key, const char* part = nullptr) {
  if (!object.is_object() || !object.contains(key)) return kNan;
  const Json& value = object[key];
  if (part != nullptr) return numberAt(value, part);
  return value.is_number() ? value.get<double>() : kNan;
}

std::string textAt(const Json& object, const char* key) {
  const bool there = object.is_object() && object.contains(key) && object[key].is_string();
  return there ? object[key].get<std::string>() : std::string();
}

const Json& listAt(const Json& object, const char* key) {
  static const Json kNone = Json::array();
  return object.is_object() && object.contains(key) && object[key].is_array() ? object[key] : kNone;
}

// "0.0341 (0.0321 … 0.0362)", or with ± where only the error is known.
std::string withInterval(const Json& object, const char* mean, const char* format,
                         double scale = 1) {
  const double value = numberAt(object, mean) * scale;
  const double low = numberAt(object, "low") * scale;
  const double high = numberAt(object, "high") * scale;
  std::string text = shown(value, format);
  if (std::isfinite(low) && std::isfinite(high)) {
    return text + " (" + shown(low, format) + " … " + shown(high, format) + ")";
  }
  const double error = numberAt(object, "error") * scale;
  return std::isfinite(error) ? text + " ± " + shown(error, "%.2g") : text;
}

const Json& partOf(const Json& result, const char* key) {
  static const Json kNone = Json::object();
  return result.is_object() && result.contains(key) && result[key].is_object() ? result[key]
                                                                               : kNone;
}

// The command line names a proof after its texts; the report names them once.
std::string titleOf(const Run& run, const Json& result) {
  const std::string text = textAt(result, "text");
  const size_t at = text.empty() ? std::string::npos : run.title.find(" on " + text);
  return run.title.substr(0, at);
}

// A measured thing: a run, or a rival inside a run's result.
struct Measured {
  std::string name;
  Json result;
  double bytes = 0, bitsPerWeight = 0;
  bool tied = false;
  bool subject = false;
};

double kldOf(const Json& result) { return numberAt(result, "kld", "mean"); }

Interval intervalOf(const Json& result) {
  return {numberAt(result, "kld", "low"), numberAt(result, "kld", "high")};
}

std::string sizeText(double bytes) { return bytes > 0 ? decimalSize(uint64_t(bytes)) : "–"; }

const std::vector<std::string> kFigureHead = {"",     "size",   "bpw",      "mean KLD (95 %)",
                                              "99 %", "99.9 %", "same top", "perplexity (95 %)"};

std::vector<Value> figureRow(const Measured& measured) {
  const Json& result = measured.result;
  std::vector<Value> row = {
      {measured.name},
      {sizeText(measured.bytes), true},
      {measured.bitsPerWeight > 0 ? shown(measured.bitsPerWeight, "%.3f") : "–", true},
      {withInterval(partOf(result, "kld"), "mean", "%.4g"), true},
      {nats(numberAt(result, "kld", "p99")), true},
      {nats(numberAt(result, "kld", "p99_9")), true},
      {shown(100 * numberAt(result, "same_top", "share"), "%.2f %%"), true},
      {withInterval(partOf(result, "perplexity"), "mean", "%.3f"), true}};
  for (Value& value : row) {
    value.strong = measured.subject;
    value.faint = measured.tied;
  }
  if (measured.tied) row[0].text += " (tie)";
  return row;
}

// The subject and what was measured with it on the same windows.
std::vector<Measured> contestOf(const Run& subject, const Json& result) {
  std::vector<Measured> all = {{.name = titleOf(subject, result),
                                .result = result,
                                .bytes = double(subject.bytes),
                                .bitsPerWeight = subject.bitsPerWeight,
                                .subject = true}};
  const auto add = [&](const Json& rival, bool tied) {
    const double bytes = numberAt(rival, "bytes");
    const double bits = numberAt(rival, "bpw");
    all.push_back(
        {textAt(rival, "name"), rival, bytes > 0 ? bytes : 0, bits > 0 ? bits : 0, tied, false});
  };
  for (const Json& rival : listAt(result, "rivals")) add(rival, rival.value("tie", false));
  if (result.contains("against")) {
    const Json& paired = partOf(partOf(result, "paired"), "kld");
    add(result["against"], paired.contains("tie") && paired["tie"] == true);
  }
  return all;
}

std::string pairedSentence(const Json& result) {
  const Json& paired = partOf(partOf(result, "paired"), "kld");
  if (!std::isfinite(numberAt(paired, "ratio"))) return {};
  const std::string rival = textAt(partOf(result, "against"), "name");
  if (paired.value("tie", false))
    return "A tie with " + rival + ": the difference is inside the noise.";
  return strCat("On the same windows it has ", shown(numberAt(paired, "ratio"), "%.2f"), " × (",
                shown(numberAt(paired, "ratio_low"), "%.2f"), " … ",
                shown(numberAt(paired, "ratio_high"), "%.2f"), ") the divergence of ", rival, ".");
}

void addProof(Report& report, const Run& subject, const Json& result) {
  report.verdict = textAt(result, "verdict");
  if (report.verdict.empty()) report.verdict = pairedSentence(result);
  ReportTable table{.heading = "Proof",
                    .note = strCat("On ", textAt(result, "text"), ", ",
                                   grouped(uint64_t(std::max(0.0, numberAt(result, "tokens")))),
                                   " tokens scored. Intervals are 95 %, over windows; a tie is a "
                                   "difference inside the noise of the same windows."),
                    .head = kFigureHead};
  for (const Measured& measured : contestOf(subject, result)) {
    table.rows.push_back(figureRow(measured));
    if (!(kldOf(measured.result) > 0) || measured.bytes <= 0) continue;
    report.points.push_back(
        {measured.name, measured.bytes, kldOf(measured.result), intervalOf(measured.result),
         measured.subject ? ReportPoint::Kind::Subject : ReportPoint::Kind::Rival});
  }
  report.tables.push_back(std::move(table));
}

void addStrata(Report& report, const Json& result) {
  const Json& strata = listAt(result, "strata");
  if (strata.empty()) return;
  ReportTable table{
      .heading = "By text",
      .head = {"text", "windows", "mean KLD (95 %)", "99.9 %", "same top", "perplexity (95 %)"}};
  const Json& worst = partOf(result, "worst_stratum");
  const std::string worstName = textAt(worst, "name");
  if (!worstName.empty()) {
    table.note = "Worst: " + worstName +
                 (worst.value("tie", false) ? ", though another is as bad within the noise." : ".");
  }
  for (const Json& stratum : strata) {
    const bool strong = textAt(stratum, "name") == worstName;
    table.rows.push_back(
        {{textAt(stratum, "name"), false, false, strong},
         {shown(numberAt(stratum, "windows"), "%.0f"), true},
         {withInterval(partOf(stratum, "kld"), "mean", "%.4g"), true, false, strong},
         {nats(numberAt(stratum, "kld", "p99_9")), true},
         {shown(100 * numberAt(stratum, "same_top", "share"), "%.2f %%"), true},
         {withInterval(partOf(stratum, "perplexity"), "mean", "%.3f"), true}});
  }
  report.tables.push_back(std::move(table));
}

std::string shareText(const Json& share) {
  return strCat(shown(100 * numberAt(share, "share"), "%.2f"), " ± ",
                shown(100 * numberAt(share, "error"), "%.2f"), " %");
}

void addTasks(Report& report, const Run& run, const Json& result) {
  ReportTable table{
      .heading = "Questions",
      .note =
          "Multiple choice by the procedure of lm-evaluation-harness; ± is one "
          "standard error. Gained and lost are questions, McNemar's exact test.",
      .head = {"task", "answered by", "questions", "acc", "acc_norm", "gained / lost (acc)", "p"}};
  for (const Json& task : listAt(result, "tasks")) {
    const std::string items = shown(numberAt(task, "items"), "%.0f");
    table.rows.push_back({{textAt(task, "name"), false, false, true},
                          {titleOf(run, result)},
                          {items, true},
                          {shareText(partOf(task, "acc")), true},
                          {shareText(partOf(task, "acc_norm")), true},
                          {""},
                          {""}});
    for (const Json& other : listAt(task, "compared")) {
      const Json& flips = partOf(other, "paired_acc");
      table.rows.push_back({{""},
                            {textAt(other, "name")},
                            {items, true},
                            {shareText(partOf(other, "acc")), true},
                            {shareText(partOf(other, "acc_norm")), true},
                            {strCat(shown(numberAt(flips, "gained"), "%.0f"), " / ",
                                    shown(numberAt(flips, "lost"), "%.0f")),
                             true},
                            {shown(numberAt(flips, "mcnemar_p"), "%.2g"), true}});
    }
  }
  if (!table.rows.empty()) report.tables.push_back(std::move(table));
}

void addRuns(Report& report, const std::vector<Run>& runs, const Run* subject,
             const std::string& text) {
  ReportTable table{.heading = "Runs",
                    .head = {"", "kind", "title", "when", "size", "bpw", "mean KLD (95 %)",
                             "perplexity (95 %)", "text"}};
  size_t elsewhere = 0;
  for (const Run& run : runs) {
    const Json result = Json::parse(run.resultJson, nullptr, false);
    const bool same = textAt(result, "text") == text;
    const double kld = kldOf(result);
    const bool measured = run.kind == RunKind::Evaluate && kld > 0 && run.bytes > 0;
    if (measured && !same) ++elsewhere;
    if (measured && same && &run != subject) {
      report.points.push_back({titleOf(run, result), double(run.bytes), kld, intervalOf(result),
                               ReportPoint::Kind::Run});
    }
    const bool faint = run.kind == RunKind::Evaluate && !same;
    const bool strong = &run == subject;
    std::vector<Value> row = {
        {strCat("#", run.id)},
        {std::string(name(run.kind))},
        {titleOf(run, result)},
        {run.created},
        {sizeText(double(run.bytes)), true},
        {run.bitsPerWeight > 0 ? shown(run.bitsPerWeight, "%.3f") : "–", true},
        {withInterval(partOf(result, "kld"), "mean", "%.4g"), true},
        {withInterval(partOf(result, "perplexity"), "mean", "%.3f"), true},
        {textAt(result, "text")}};
    for (Value& value : row) {
      value.faint = faint;
      value.strong = strong;
    }
    table.rows.push_back(std::move(row));
  }
  table.shownRows = kShownRuns;
  report.tables.push_back(std::move(table));
  report.pointsNote = strCat("On ", text, ". Whiskers are 95 % intervals; the line joins what ",
                             "nothing smaller beats.");
  if (elsewhere > 0) {
    report.pointsNote += strCat(" ", elsewhere, elsewhere == 1 ? " run" : " runs",
                                " on other texts cannot be compared and are left out.");
  }
}

// The plan as rules, when the model is not at hand to resolve them.
void addRules(Report& report, const Recipe& recipe) {
  ReportTable table{.heading = "Recipe",
                    .note = "Rules on tensor names; the last that matches counts.",
                    .head = {"tensors", "codec", "method", "why"},
                    .shownRows = reporting::kShownTensors};
  for (const Rule& rule : recipe.rules) {
    table.rows.push_back({{rule.pattern}, {rule.codec}, {rule.method}, {rule.why}});
  }
  report.tables.push_back(std::move(table));
}

Result<void> addRecipe(Report& report, const Run& subject, const Model* model) {
  if (subject.recipeJson.empty()) return {};
  TRY(const Recipe recipe, parseRecipe(subject.recipeJson, strCat("run ", subject.id)));
  if (model == nullptr) {
    addRules(report, recipe);
    return {};
  }
  TRY(const Plan plan, resolve(recipe, *model));
  reporting::addPlan(report, plan, *model);
  return {};
}

void addFigures(Report& report, const Run& subject, const Json& result) {
  report.figures.push_back({"size", sizeText(double(subject.bytes)),
                            subject.bytes > 0 ? binarySize(subject.bytes) : ""});
  report.figures.push_back({"bits per weight", shown(subject.bitsPerWeight, "%.3f"), ""});
  const auto range = [&](const Json& part, const char* format, double scale) {
    const double low = numberAt(part, "low") * scale;
    if (!std::isfinite(low)) return std::string();
    return shown(low, format) + " … " + shown(numberAt(part, "high") * scale, format);
  };
  const Json& kld = partOf(result, "kld");
  if (std::isfinite(kldOf(result))) {
    report.figures.push_back({"mean KLD", nats(kldOf(result)), range(kld, "%.4g", 1)});
    const Json& same = partOf(result, "same_top");
    report.figures.push_back({"same top token", shown(100 * numberAt(same, "share"), "%.1f %%"),
                              range(same, "%.1f", 100)});
  }
  const Json& perplexity = partOf(result, "perplexity");
  if (std::isfinite(numberAt(perplexity, "mean"))) {
    report.figures.push_back(
        {"perplexity", shown(numberAt(perplexity, "mean"), "%.2f"), range(perplexity, "%.2f", 1)});
  }
}

void addProvenance(Report& report, const ReportRequest& request, const Run* subject,
                   const Json& result) {
  auto& list = report.provenance;
  list.push_back({"model", request.runs.front().model, ""});
  list.push_back({"source fingerprint", request.runs.front().fingerprint, ""});
  if (subject != nullptr) {
    list.push_back({"run", strCat("#", subject->id, ", ", subject->created), ""});
    if (!subject->planHash.empty()) list.push_back({"plan hash", subject->planHash, ""});
    if (!textAt(result, "text").empty()) list.push_back({"text", textAt(result, "text"), ""});
    for (const Json& sentence : listAt(result, "calibration_overlap")) {
      if (sentence.is_string()) list.push_back({"overlap", sentence.get<std::string>(), ""});
    }
    if (!subject->notes.empty()) list.push_back({"notes", subject->notes, ""});
  }
  if (request.cells) {
    list.push_back({"scan",
                    strCat(request.cells->metric, " on ", request.cells->text, ", ",
                           grouped(request.cells->tokens), " tokens, ",
                           grouped(request.cells->cells.size()), " cells"),
                    ""});
  }
  list.push_back({"made by", "Bitloom " BITLOOM_VERSION, ""});
}

Result<void> checkRequest(const ReportRequest& request) {
  if (request.runs.empty()) {
    return makeError(ErrorCode::InvalidArgument, "A report needs one run at least.");
  }
  const Run& first = request.runs.front();
  for (const Run& run : request.runs) {
    if (run.fingerprint == first.fingerprint) continue;
    return makeError(ErrorCode::InvalidArgument, "Run ", run.id, " is of ", run.model, ", run ",
                     first.id, " of ", first.model,
                     " or another file of it; a report is about one.");
  }
  if (request.model != nullptr && request.model->fingerprint() != first.fingerprint) {
    return makeError(ErrorCode::InvalidArgument, request.model->path().filename().string(),
                     ": is not the model of run ", first.id, ".");
  }
  return {};
}

}  // namespace

Result<Report> buildReport(const ReportRequest& request) {
  TRY(checkRequest(request));
  const Run* subject = nullptr;
  Json result;
  for (const Run& run : request.runs) {
    const Json parsed = Json::parse(run.resultJson, nullptr, false);
    if (run.kind != RunKind::Evaluate || !parsed.is_object()) continue;
    subject = &run;
    result = parsed;
    break;
  }
  Report report;
  report.title = request.runs.front().model;
  if (subject != nullptr) {
    report.subtitle = titleOf(*subject, result);
    addFigures(report, *subject, result);
    if (result.contains("perplexity")) addProof(report, *subject, result);
    addStrata(report, result);
    addTasks(report, *subject, result);
  }
  if (request.cells) reporting::addSensitivity(report, *request.cells);
  if (subject != nullptr) TRY(addRecipe(report, *subject, request.model));
  addRuns(report, request.runs, subject, textAt(result, "text"));
  addProvenance(report, request, subject, result);
  return report;
}

Result<void> saveReport(const Report& report, const std::filesystem::path& path) {
  const std::string ending = toLower(path.extension().string());
  const bool html = ending == ".html" || ending == ".htm";
  if (!html && ending != ".md") {
    return makeError(ErrorCode::InvalidArgument, path.string(), ": a report ends in .html or .md.");
  }
  const std::string text = html ? toHtml(report) : toMarkdown(report);
  TRY(auto file, OutputFile::create(path));
  TRY(file.write(std::as_bytes(std::span(text.data(), text.size()))));
  return file.commit();
}

Result<ReportRequest> reportRequest(const ExperimentStore& store, const std::string& fingerprint,
                                    const std::vector<int64_t>& ids) {
  ReportRequest request;
  for (int64_t id : ids) {
    TRY(auto run, store.run(id));
    request.runs.push_back(std::move(run));
  }
  std::string wanted = ids.empty() ? fingerprint : request.runs.front().fingerprint;
  TRY(auto all, store.runs(wanted));
  if (all.empty()) {
    return makeError(ErrorCode::NotFound, store.path().string(),
                     ": holds no run yet; `bitloom-cli eval` makes one.");
  }
  if (wanted.empty()) wanted = all.front().fingerprint;
  for (Run& run : all) {
    if (run.fingerprint != wanted) continue;
    if (run.kind == RunKind::Scan && !request.cells) {
      TRY(auto cells, store.cells(run.id));
      if (!cells.cells.empty()) request.cells = std::move(cells);
    }
    if (ids.empty() && run.state == "done") request.runs.push_back(std::move(run));
  }
  if (request.runs.empty()) {
    return makeError(ErrorCode::NotFound, store.path().string(), ": holds no finished run.");
  }
  return request;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/recipe.h"
#include "core/report_svg.h"
#include "tests/support/tiny_run.h"

namespace bitloom {
namespace {

using test::TinyRun;

const std::string kNasty = "<script>alert('x')</script> & \"q\" | \x01\xff";

Run proofOf(int64_t id, const std::string& title, uint64_t bytes, double kld) {
  bitloom::Run run;
  run.id = id;
  run.kind = RunKind::Evaluate;
  run.created = "2026-01-02T03:04:05Z";
  run.model = "Story";
  run.fingerprint = "abc";
  run.title = title;
  run.state = "done";
  run.bytes = bytes;
  run.bitsPerWeight = 4.5;
  run.resultJson = nlohmann::json({{"text", "held.txt"},
                                   {"tokens", 4080},
                                   {"kld",
                                    {{"mean", kld},
                                     {"low", kld * 0.9},
                                     {"high", kld * 1.1},
                                     {"error", kld * 0.05},
                                     {"p99", kld * 8},
                                     {"p99_9", kld * 20}}},
                                   {"same_top", {{"share", 0.9}, {"low", 0.88}, {"high", 0.92}}},
                                   {"perplexity", {{"mean", 12.5}, {"low", 11.0}, {"high", 14.0}}}})
                       .dump();
  return run;
}

size_t countOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

const ReportTable* tableOf(const Report& report, const std::string& heading) {
  for (const ReportTable& table : report.tables) {
    if (table.heading == heading) return &table;
  }
  return nullptr;
}

TEST(Report, SubjectRivalsAndRunsOnTheSameTextAreDrawn) {
  bitloom::Run subject = proofOf(7, "mix", 6'000'000, 0.02);
  auto result = nlohmann::json::parse(subject.resultJson);
  result["verdict"] = "It is better.";
  result["rivals"] = {{{"name", "uniform Q4_0"},
                       {"bytes", 6'500'000},
                       {"bpw", 4.5},
                       {"tie", true},
                       {"kld", {{"mean", 0.03}}}}};
  subject.resultJson = result.dump();
  bitloom::Run elsewhere = proofOf(3, "other text", 5'000'000, 0.5);
  elsewhere.resultJson.replace(elsewhere.resultJson.find("held.txt"), 8, "code.txt");
  const Report report = test::take(buildReport(
      {.runs = {subject, proofOf(5, "older", 7'000'000, 0.01), elsewhere}, .cells = std::nullopt}));
  EXPECT_EQ(report.title, "Story");
  EXPECT_EQ(report.verdict, "It is better.");
  ASSERT_EQ(report.points.size(), 3U);  // the run on another text is no point
  EXPECT_EQ(report.points[0].kind, ReportPoint::Kind::Subject);
  EXPECT_EQ(report.points[1].kind, ReportPoint::Kind::Rival);
  EXPECT_NE(report.pointsNote.find("1 run on other texts"), std::string::npos);
  const ReportTable* proof = tableOf(report, "Proof");
  ASSERT_NE(proof, nullptr);
  ASSERT_EQ(proof->rows.size(), 2U);
  EXPECT_EQ(proof->rows[0][3].text, "0.02 (0.018 … 0.022)");
  EXPECT_TRUE(proof->rows[1][0].faint);
  EXPECT_EQ(proof->rows[1][0].text, "uniform Q4_0 (tie)");
  const ReportTable* runs = tableOf(report, "Runs");
  ASSERT_NE(runs, nullptr);
  EXPECT_EQ(runs->rows.size(), 3U);
}

TEST(Report, HtmlLoadsNothingAndIsWhole) {
  const Report report = test::take(
      buildReport({.runs = {proofOf(1, "mix", 6'000'000, 0.02)}, .cells = std::nullopt}));
  const std::string html = toHtml(report);
  EXPECT_TRUE(html.starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(html.ends_with("</html>\n"));
  for (const char* forbidden :
       {"http://", "https://", "src=", "href=", "url(", "<script", "@import"}) {
    EXPECT_EQ(html.find(forbidden), std::string::npos) << forbidden;
  }
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(html.find("prefers-color-scheme:dark"), std::string::npos);
  for (const char* tag : {"section", "table", "svg", "tr", "td", "div", "g", "text"}) {
    const std::string name = tag;
    EXPECT_EQ(countOf(html, "<" + name + ">") + countOf(html, "<" + name + " "),
              countOf(html, "</" + name + ">"))
        << tag;
  }
}

TEST(Report, EveryTextOfARunIsEscaped) {
  bitloom::Run run = proofOf(1, kNasty, 6'000'000, 0.02);
  run.model = run.notes = run.created = run.planHash = kNasty;
  auto result = nlohmann::json::parse(run.resultJson);
  const std::string clean = kNasty.substr(0, kNasty.size() - 2);  // JSON holds no broken UTF-8
  result["text"] = result["verdict"] = clean;
  result["rivals"] = {{{"name", clean}, {"bytes", 1'000'000}, {"kld", {{"mean", 0.3}}}}};
  result["strata"] = {{{"name", clean}, {"kld", {{"mean", 0.3}}}}, {{"name", "b"}}};
  result["worst_stratum"] = {{"name", clean}};
  result["tasks"] = {{{"name", clean}, {"compared", {{{"name", clean}}}}}};
  result["calibration_overlap"] = {clean};
  run.resultJson = result.dump();
  run.recipeJson = toJson(Recipe{.name = "r", .rules = {{.pattern = clean, .codec = "q4_0"}}});
  Sensitivity cells{.metric = clean, .text = clean};
  cells.cells = {{.tensor = "blk.0." + clean + ".weight", .codec = clean, .value = 1}};
  const Report report = test::take(buildReport({.runs = {run}, .cells = cells}));
  const std::string html = toHtml(report);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("'x'"), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
  EXPECT_EQ(html.find('\xff'), std::string::npos);
  EXPECT_GE(countOf(html, "&lt;script&gt;"), 12U);
  const std::string markdown = toMarkdown(report);
  EXPECT_EQ(markdown.find("<script"), std::string::npos);
  EXPECT_EQ(countOf(markdown, "\" | "), 0U);  // its bar is escaped: it ends no table cell
}

TEST(Report, MarkdownTablesAreAsWideAsTheirHeads) {
  bitloom::Run run = proofOf(1, "a | b", 6'000'000, 0.02);
  const Report report = test::take(buildReport({.runs = {run}, .cells = std::nullopt}));
  std::istringstream lines(toMarkdown(report));
  size_t bars = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("|")) {
      bars = 0;
      continue;
    }
    const size_t here = countOf(line, "|") - countOf(line, "\\|");
    if (bars != 0) {
      EXPECT_EQ(here, bars) << line;
    }
    bars = here;
  }
}

TEST(Report, ThePlanIsShownTensorByTensorWhenTheModelIsAtHand) {
  TinyRun run;
  bitloom::Run proof = proofOf(1, "uniform", 1000, 0.02);
  proof.fingerprint = run.model()->fingerprint();
  proof.recipeJson = toJson(uniformRecipe(*findCodec("q4_0")));
  Sensitivity cells{.metric = "kld", .text = "t"};
  cells.cells = {
      {.tensor = "blk.0.ffn_up.weight", .codec = "q4_0", .value = 0.5, .error = 0.1, .bytes = 2000},
      {.tensor = "blk.1.ffn_up.weight", .codec = "q4_0", .value = 0.25},
      {.tensor = "output.weight", .codec = "q4_0", .value = 0.01}};
  const Report report =
      test::take(buildReport({.runs = {proof}, .cells = cells, .model = run.model().get()}));
  const ReportTable* plan = tableOf(report, "Plan");
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(plan->rows.size(), run.model()->tensors().size());
  ASSERT_EQ(report.heatmaps.size(), 2U);  // bits of the plan, damage at q4_0
  const ReportHeatmap& damage = report.heatmaps[1];
  EXPECT_EQ(damage.columns, (std::vector<std::string>{"0", "1", "output"}));
  EXPECT_EQ(damage.rows, (std::vector<std::string>{"ffn_up"}));
  ASSERT_EQ(damage.tiles.size(), 3U);
  EXPECT_EQ(damage.tiles[0].label, "blk.0.ffn_up.weight: 0.5 ± 0.1, 2.00 kB");
  EXPECT_EQ(damage.tiles[2].column, 2U);
  EXPECT_EQ(countOf(heatmapSvg(damage), "<title>"), 3U);

  const Report without = test::take(buildReport({.runs = {proof}, .cells = cells}));
  EXPECT_EQ(tableOf(without, "Plan"), nullptr);
  ASSERT_NE(tableOf(without, "Recipe"), nullptr);
}

TEST(Report, OddValuesDoNotBreakPictures) {
  ReportHeatmap map{.heading = "h", .columns = {"0", "1"}, .rows = {"a"}};
  map.tiles = {{0, 0, 0, "zero"}, {1, 0, -1, "negative"}};
  EXPECT_EQ(heatmapSvg(map).find("nan"), std::string::npos);
  const std::vector<ReportPoint> one = {{"p", 1e6, 0.1, {0.05, 0.2}, ReportPoint::Kind::Subject}};
  const std::string alone = paretoSvg(one);
  EXPECT_EQ(alone.find("nan"), std::string::npos);
  EXPECT_EQ(alone.find("inf"), std::string::npos);
  EXPECT_EQ(paretoSvg({}), "");
}

TEST(Report, RunsOfTwoModelsAndUnknownEndingsAreRefused) {
  bitloom::Run other = proofOf(2, "b", 1, 1);
  other.fingerprint = "def";
  const auto mixed = buildReport({.runs = {proofOf(1, "a", 1, 1), other}, .cells = std::nullopt});
  ASSERT_FALSE(mixed);
  EXPECT_NE(mixed.error().message.find("Run 2"), std::string::npos) << mixed.error().message;
  EXPECT_FALSE(buildReport({}));

  const test::TempDir folder;
  const auto odd = saveReport({}, folder / "r.pdf");
  ASSERT_FALSE(odd);
  EXPECT_NE(odd.error().message.find("r.pdf"), std::string::npos);
  ASSERT_TRUE(saveReport({.title = "T"}, folder / "r.HTML"));
  EXPECT_NE(test::readFile(folder / "r.HTML").find("<h1>T</h1>"), std::string::npos);
}

}  // namespace
}  // namespace bitloom

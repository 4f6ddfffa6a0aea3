// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/runs_page.h"

#include <QAbstractItemModelTester>
#include <QComboBox>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLabel>
#include <QPushButton>
#include <QSet>
#include <QTableWidget>

#include "tests/ui/studio.h"
#include "ui/compare_runs.h"
#include "ui/models/run_table.h"
#include "ui/runs_export.h"
#include "ui/widgets/table.h"

namespace bitloom {
namespace {

using test::kPatience;
using test::Studio;

class RunsPageTest : public testing::Test {
 protected:
  RunsPageTest() : page(*studio.document) {
    opened = studio.open();
    table = page.findChild<Table*>("runTable");
  }

  int64_t addRun(const Recipe& recipe, const std::string& title, const std::string& result = {}) {
    const Plan plan = *resolve(recipe, studio.document->model());
    bitloom::Run run;
    run.kind = RunKind::Plan;
    run.model = "m";
    run.fingerprint = studio.document->model().fingerprint();
    run.title = title;
    run.state = "done";
    run.recipeJson = toJson(recipe);
    run.bytes = plan.fileBytes;
    run.bitsPerWeight = plan.bitsPerWeight;
    run.resultJson = result;
    const auto id = studio.document->store().add(run);
    studio.document->announceRuns();
    return id ? *id : 0;
  }

  void press(const char* button) { page.findChild<QPushButton*>(button)->click(); }

  Studio studio;
  RunsPage page;
  Table* table = nullptr;
  bool opened = false;
};

TEST_F(RunsPageTest, RestoresAPlanInOneUndoStep) {
  ASSERT_TRUE(opened);
  const Recipe before = studio.document->recipe();
  const Recipe kept = uniformRecipe(*findCodec("q8_0"));
  const int64_t id = addRun(kept, "eight bits");
  ASSERT_GT(id, 0);
  page.selectRun(id);
  press("restoreButton");
  EXPECT_EQ(studio.document->recipe(), kept);
  EXPECT_EQ(studio.document->undoStack()->count(), 1);
  studio.document->undoStack()->undo();
  EXPECT_EQ(studio.document->recipe(), before);
}

TEST_F(RunsPageTest, DeletesWithUndo) {
  ASSERT_TRUE(opened);
  const int64_t id = addRun({}, "doomed");
  page.selectRun(id);
  press("deleteButton");
  EXPECT_EQ(table->model()->rowCount(), 0);
  press("undoDeleteButton");
  ASSERT_EQ(table->model()->rowCount(), 1);
  EXPECT_EQ(table->model()->index(0, RunTable::Title).data().toString(), "doomed");
}

TEST_F(RunsPageTest, KeepsNotes) {
  ASSERT_TRUE(opened);
  const int64_t id = addRun({}, "noted");
  ASSERT_TRUE(table->model()->setData(table->model()->index(0, RunTable::Notes), "for the laptop"));
  EXPECT_EQ(studio.document->store().run(id)->notes, "for the laptop");
}

TEST_F(RunsPageTest, ComparesTwoRunsAndCallsTiesTies) {
  ASSERT_TRUE(opened);
  addRun(uniformRecipe(*findCodec("q8_0")), "a", R"({"kld":{"mean":0.010,"error":0.002}})");
  addRun(uniformRecipe(*findCodec("q4_0")), "b", R"({"kld":{"mean":0.012,"error":0.002}})");
  table->selectAll();
  press("compareButton");
  auto* figures = page.findChild<QTableWidget*>("compareFigures");
  ASSERT_EQ(figures->rowCount(), 3);
  EXPECT_TRUE(figures->item(2, 3)->text().contains("tie"));
  auto* changes = page.findChild<QTableWidget*>("compareChanges");
  EXPECT_GT(changes->rowCount(), 80);
  EXPECT_EQ(changes->item(0, 1)->text(), "q8_0");
  EXPECT_EQ(changes->item(0, 2)->text(), "q4_0");
}

TEST(CompareRuns, TellsADifferenceFromNoise) {
  bitloom::Run a, b;
  a.resultJson = R"({"kld":{"mean":0.010,"error":0.001}})";
  b.resultJson = R"({"kld":{"mean":0.014,"error":0.001}})";
  EXPECT_FALSE(compareRuns(a, b, nullptr).figures.at(0).tied);  // 4e-3 > 1.96 · √2 · 1e-3
  b.resultJson = R"({"kld":{"mean":0.0127,"error":0.001}})";
  EXPECT_TRUE(compareRuns(a, b, nullptr).figures.at(0).tied);
}

TEST(RunsExport, WritesEveryRunAndQuotesWhatNeedsIt) {
  bitloom::Run run;
  run.id = 7;
  run.title = "mix, \"best\"";
  run.bytes = 42;
  const QByteArray csv = runsAsCsv({run});
  EXPECT_TRUE(csv.contains("7,plan,"));
  EXPECT_TRUE(csv.contains("\"mix, \"\"best\"\"\""));
  const QJsonObject json = QJsonDocument::fromJson(runsAsJson({run, run})).object();
  EXPECT_EQ(json["runs"].toArray().size(), 2);
}

TEST_F(RunsPageTest, SavesAReportOfOneModelsRuns) {
  ASSERT_TRUE(opened);
  addRun(uniformRecipe(*findCodec("q4_0")), "the <b>plan</b>",
         R"({"text":"t","kld":{"mean":0.02},"perplexity":{"mean":9}})");
  auto runs = studio.runs();
  runs[0].kind = RunKind::Evaluate;
  bitloom::Run stranger;
  stranger.fingerprint = "another";
  runs.push_back(stranger);
  const test::TempDir folder;
  const QString path = QString::fromStdString((folder / "r.html").string());
  const auto saved = saveReport(runs, {}, &studio.document->model(), path);
  ASSERT_TRUE(saved) << saved.error().message;
  const std::string html = test::readFile(folder / "r.html");
  EXPECT_NE(html.find("the &lt;b&gt;plan&lt;/b&gt;"), std::string::npos);
  EXPECT_NE(html.find("blk.0.attn_q.weight"), std::string::npos);
  EXPECT_FALSE(saveReport({}, {}, nullptr, path));
}

TEST_F(RunsPageTest, ProofMeasuresRivalsGivesAVerdictAndIsStored) {
  ASSERT_TRUE(opened);
  press("proveButton");
  auto* verdict = page.findChild<QLabel*>("verdictLabel");
  ASSERT_TRUE(QTest::qWaitFor([&] { return !verdict->text().isEmpty(); }, 4 * kPatience));
  auto* rows = page.findChild<QTableWidget*>("proveTable");
  EXPECT_GE(rows->rowCount(), 3);
  EXPECT_TRUE(verdict->text().endsWith("."));

  // Each held-out text by itself: other figures, and one of them is the worst.
  auto* texts = page.findChild<QComboBox*>("proofTextBox");
  ASSERT_EQ(texts->count(), 4);
  const QString all = rows->item(0, 2)->text();
  EXPECT_TRUE(all.contains("±"));
  EXPECT_TRUE(rows->item(1, 3)->text().contains("×") || rows->item(1, 3)->text() == "tie");
  QSet<QString> different;
  for (int text = 1; text < 4; ++text) {
    texts->setCurrentIndex(text);
    emit texts->activated(text);
    different << rows->item(0, 2)->text();
  }
  EXPECT_EQ(different.size(), 3);
  auto* worst = page.findChild<QLabel*>("worstTextLabel");
  EXPECT_TRUE(worst->text().startsWith("Worst text: ")) << worst->text().toStdString();

  const auto runs = studio.runs();
  ASSERT_FALSE(runs.empty());
  EXPECT_EQ(runs[0].kind, RunKind::Evaluate);
  ASSERT_TRUE(figuresOf(runs[0]).kld.has_value());
  EXPECT_GT(figuresOf(runs[0]).kld->mean, 0);
  ASSERT_TRUE(figuresOf(runs[0]).perplexity.has_value());
  EXPECT_GT(figuresOf(runs[0]).perplexity->mean, 1);
}

TEST_F(RunsPageTest, TableKeepsTheModelPromises) {
  ASSERT_TRUE(opened);
  RunTable runs;
  const QAbstractItemModelTester tester(&runs,
                                        QAbstractItemModelTester::FailureReportingMode::Fatal);
  addRun({}, "one");
  runs.setRuns(studio.runs());
  EXPECT_EQ(runs.rowCount(), 1);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/document.h"

#include <cmath>

#include "tests/support/tiny_model.h"
#include "tests/ui/studio.h"

namespace bitloom {
namespace {

using test::kPatience;
using test::Studio;

TEST(Document, OpensTheBuiltinModelWithAPlanReadyToDrag) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  const Document& document = *studio.document;
  EXPECT_TRUE(document.canInfer()) << document.inferenceProblem().toStdString();
  ASSERT_NE(document.tokenizer(), nullptr);
  EXPECT_EQ(document.planLabel(), "tq3_1s");
  EXPECT_GT(document.plan().fileBytes, 0u);
  EXPECT_LT(document.plan().fileBytes, document.model().fileBytes());
  EXPECT_TRUE(studio.document->undoStack()->isClean());
  EXPECT_GT(document.ladder().size(), 3u);
  for (size_t i = 1; i < document.ladder().size(); ++i) {
    EXPECT_LT(document.ladder()[i - 1]->bits, document.ladder()[i]->bits);
  }
}

TEST(Document, FailsWithTheNameOfAMissingFile) {
  Studio studio;
  QSignalSpy failed(studio.document.get(), &Document::failed);
  studio.document->open("/nowhere/missing.gguf");
  ASSERT_TRUE(QTest::qWaitFor([&] { return !failed.empty(); }, kPatience));
  EXPECT_TRUE(failed[0][1].toString().contains("missing.gguf"));
  EXPECT_FALSE(studio.document->isOpen());
}

TEST(Document, OneDragIsOneUndoStep) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  Document& document = *studio.document;
  const Recipe before = document.recipe();
  const uint64_t bytes = document.plan().fileBytes;
  const auto tensors = studio.firstTensors(3);
  const Recipe dragged = document.withCodec(tensors, "q8_0", "dragged");
  ASSERT_TRUE(document.previewRecipe(dragged));
  EXPECT_TRUE(document.isPreviewing());
  EXPECT_GT(document.plan().fileBytes, bytes);
  EXPECT_EQ(document.undoStack()->count(), 0);
  ASSERT_TRUE(document.setRecipe(dragged, "drag"));
  EXPECT_EQ(document.undoStack()->count(), 1);
  EXPECT_FALSE(document.isPreviewing());
  const uint64_t after = document.plan().fileBytes;
  document.undoStack()->undo();
  EXPECT_EQ(document.recipe(), before);
  EXPECT_EQ(document.plan().fileBytes, bytes);
  document.undoStack()->redo();
  EXPECT_EQ(document.recipe(), dragged);
  EXPECT_EQ(document.plan().fileBytes, after);
}

TEST(Document, CancelledPreviewLeavesThePlanAsItWas) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  Document& document = *studio.document;
  const std::string hash = document.plan().hash;
  ASSERT_TRUE(
      document.previewRecipe(document.withCodec(studio.firstTensors(1), "q8_0", "dragged")));
  EXPECT_NE(document.plan().hash, hash);
  document.cancelPreview();
  EXPECT_EQ(document.plan().hash, hash);
}

TEST(Document, RefusesARecipeThatDoesNotResolve) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  QSignalSpy failed(studio.document.get(), &Document::failed);
  const Recipe before = studio.document->recipe();
  Recipe broken = before;
  broken.rules.push_back(Rule{.pattern = "*", .codec = "no_such_codec", .options = {}, .why = {}});
  EXPECT_FALSE(studio.document->setRecipe(broken, "break"));
  EXPECT_EQ(failed.count(), 1);
  EXPECT_EQ(studio.document->recipe(), before);
}

TEST(Document, PinsAreKeptByNameAndSurviveADrag) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  Document& document = *studio.document;
  const auto tensors = studio.firstTensors(2);
  ASSERT_TRUE(document.setRecipe(document.withPin({tensors[0]}, true), "pin"));
  EXPECT_TRUE(document.isPinned(tensors[0]));
  const std::string name = document.model().tensors()[tensors[0]].name;
  ASSERT_EQ(document.pins().size(), 1u);
  EXPECT_EQ(document.pins().begin()->first, name);
  ASSERT_TRUE(document.setRecipe(document.withCodec(tensors, "q8_0", "dragged"), "drag"));
  EXPECT_TRUE(document.isPinned(tensors[0]));
  EXPECT_FALSE(document.isPinned(tensors[1]));
  EXPECT_EQ(document.pins().at(name), "q8_0");
  ASSERT_TRUE(document.setRecipe(document.withPin({tensors[0]}, false), "unpin"));
  EXPECT_TRUE(document.pins().empty());
}

TEST(Document, MeasuresTheNewestPlanAndTheSourceIsZero) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  Document& document = *studio.document;
  const auto measured = [&] { return document.damage().kind == Document::Damage::Kind::Measured; };
  ASSERT_TRUE(QTest::qWaitFor(measured, kPatience));
  const double uniform = document.damage().value;
  EXPECT_GT(uniform, 0);
  EXPECT_GT(document.damage().error, 0);
  ASSERT_TRUE(document.probe().has_value());
  ASSERT_TRUE(document.setRecipe({}, "source"));
  EXPECT_FALSE(measured());
  ASSERT_TRUE(QTest::qWaitFor(measured, kPatience));
  EXPECT_NEAR(document.damage().value, 0, 1e-9);
  document.undoStack()->undo();
  ASSERT_TRUE(QTest::qWaitFor(measured, kPatience));
  EXPECT_NEAR(document.damage().value, uniform, 1e-9);
}

TEST(Document, ScanFillsCellsStopsAndGoesOn) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  Document& document = *studio.document;
  int delivered = 0;
  QObject::connect(&document, &Document::cellMeasured, &document, [&] { ++delivered; });
  document.startScan("weight_error", {"q4_0", "q8_0"});
  EXPECT_TRUE(document.isScanning());
  ASSERT_TRUE(QTest::qWaitFor([&] { return delivered > 0; }, kPatience));
  document.stopScan();
  ASSERT_TRUE(QTest::qWaitFor([&] { return !document.isScanning(); }, kPatience));
  document.startScan("weight_error", {"q4_0", "q8_0"});
  ASSERT_TRUE(QTest::qWaitFor([&] { return !document.isScanning(); }, kPatience));
  const size_t cells = document.sensitivity("weight_error").cells.size();
  EXPECT_GT(cells, 100u);
  EXPECT_EQ(size_t(delivered), cells) << "a cell that was known is not measured again";
}

TEST(Document, QuantizedFileOpensAgainAndItsRunIsStored) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  Document& document = *studio.document;
  const uint64_t planned = document.plan().fileBytes;
  const auto target = studio.folder / "out.gguf";
  QSignalSpy done(&document, &Document::quantized);
  document.quantizeTo(QString::fromStdString(target.string()));
  ASSERT_TRUE(QTest::qWaitFor([&] { return !done.empty(); }, kPatience));
  EXPECT_EQ(std::filesystem::file_size(target), planned);
  const auto written = Model::open(target);
  ASSERT_TRUE(written);
  EXPECT_EQ((*written)->tensors().size(), document.model().tensors().size());
  const auto runs = studio.runs();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].kind, RunKind::Quantize);
  EXPECT_EQ(runs[0].state, "done");
  EXPECT_EQ(runs[0].bytes, planned);
  EXPECT_EQ(*parseRecipe(runs[0].recipeJson, "run"), document.recipe());
}

TEST(Document, WritingAndMeasuringOneNewPlanThatNeedsStatisticsBothEnd) {
  Studio studio;
  const auto tiny = test::writeTinyModel(studio.folder / "tiny.gguf");
  ASSERT_TRUE(studio.open(QString::fromStdString(tiny.string())));
  ASSERT_TRUE(studio.waitForIdle());
  Recipe recipe = uniformRecipe(*findCodec("tq2_1b4"));
  for (Rule& rule : recipe.rules) rule.method = "imatrix";
  QSignalSpy done(studio.document.get(), &Document::quantized);
  ASSERT_TRUE(studio.document->setRecipe(recipe, "with importances"));
  studio.document->quantizeTo(QString::fromStdString((studio.folder / "out.gguf").string()));
  ASSERT_TRUE(QTest::qWaitFor([&] { return !done.empty(); }, kPatience / 3));
  ASSERT_TRUE(studio.waitForIdle());
  EXPECT_EQ(studio.document->damage().kind, Document::Damage::Kind::Measured);
}

TEST(Document, CancelledQuantizeLeavesNothing) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  Document& document = *studio.document;
  const auto target = studio.folder / "cancelled" / "out.gguf";
  std::filesystem::create_directory(target.parent_path());
  QSignalSpy done(&document, &Document::quantized);
  QSignalSpy failed(&document, &Document::failed);
  document.quantizeTo(QString::fromStdString(target.string()));
  document.jobs().cancelAll();
  ASSERT_TRUE(studio.waitForIdle());
  EXPECT_EQ(done.count(), 0);
  EXPECT_EQ(failed.count(), 0) << "a cancelled job is no failure";
  EXPECT_TRUE(std::filesystem::is_empty(target.parent_path()));
  EXPECT_TRUE(studio.runs().empty());
}

TEST(Document, RefusesToOverwriteTheOpenModel) {
  Studio studio;
  const auto copy = studio.folder / "copy.gguf";
  std::filesystem::copy_file(test::sourcePath("resources/models/bitloom-story-11m-f16.gguf"), copy);
  ASSERT_TRUE(studio.open(QString::fromStdString(copy.string())));
  QSignalSpy failed(studio.document.get(), &Document::failed);
  studio.document->quantizeTo(QString::fromStdString(copy.string()));
  EXPECT_EQ(failed.count(), 1);
}

TEST(Document, RestoresTheSession) {
  Recipe kept;
  {
    Studio studio;
    ASSERT_TRUE(studio.open());
    Document& document = *studio.document;
    ASSERT_TRUE(
        document.setRecipe(document.withCodec(studio.firstTensors(2), "q8_0", "dragged"), "drag"));
    kept = document.recipe();
  }
  Studio again(/*keepSettings=*/true);
  ASSERT_TRUE(again.open());
  EXPECT_EQ(again.document->recipe(), kept);
}

TEST(Document, SavedPlanIsCleanAndLoadsAgain) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  Document& document = *studio.document;
  ASSERT_TRUE(
      document.setRecipe(document.withCodec(studio.firstTensors(2), "q8_0", "dragged"), "drag"));
  EXPECT_FALSE(document.undoStack()->isClean());
  const Recipe saved = document.recipe();
  const QString path = QString::fromStdString((studio.folder / "plan.json").string());
  ASSERT_TRUE(document.saveRecipeTo(path));
  EXPECT_TRUE(document.undoStack()->isClean());
  document.undoStack()->undo();
  ASSERT_TRUE(document.loadRecipeFrom(path));
  EXPECT_EQ(document.recipe(), saved);
}

}  // namespace
}  // namespace bitloom

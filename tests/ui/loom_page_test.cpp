// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/loom_page.h"

#include <gtest/gtest.h>

#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QMimeData>
#include <QPushButton>
#include <QSlider>
#include <QTest>
#include <algorithm>

#include "core/builtin.h"
#include "core/metric.h"
#include "tests/ui/studio.h"
#include "ui/models/loom_selection.h"
#include "ui/widgets/budget_panel.h"
#include "ui/widgets/heatmap_view.h"
#include "ui/widgets/scan_bar.h"

namespace bitloom {
namespace {

class Loom : public testing::Test {
 protected:
  virtual QString modelPath() { return "builtin"; }

  void SetUp() override {
    ASSERT_TRUE(studio.open(modelPath()));
    ASSERT_TRUE(document().setRecipe(uniformRecipe(rung("tq3_1s")), "uniform"));
    document().undoStack()->clear();
    page = std::make_unique<LoomPage>(document());
    page->resize(1208, 705);
    page->show();
    faders = page->findChild<FaderBank*>("faderBank");
    heatmap = page->findChild<HeatmapView*>("heatmapView");
    budget = page->findChild<BudgetPanel*>("budgetPanel");
    slider = page->findChild<QSlider*>("budgetSlider");
    QApplication::processEvents();
  }

  Document& document() { return *studio.document; }
  const Codec& rung(const char* name) { return *findCodec(name); }
  std::string requested(size_t tensor) {
    const Codec* codec = document().plan().tensors[tensor].requested;
    return codec ? std::string(codec->name) : "";
  }

  void drag(int column, const Codec& codec) {
    const QPoint foot(int(faders->barRect(column).center().x()), faders->height() - 3);
    const QPoint top(foot.x(), int(std::lround(faders->yOf(codec.bits))));
    QTest::mousePress(faders, Qt::LeftButton, {}, foot);
    QTest::mouseMove(faders, top);
    QTest::mouseRelease(faders, Qt::LeftButton, {}, top);
  }

  void slideTo(double share) {
    slider->setSliderDown(true);
    slider->setValue(int(share * slider->maximum()));
    EXPECT_TRUE(QTest::qWaitFor([&] { return document().isPreviewing(); }, test::kPatience));
    slider->setSliderDown(false);
  }

  bool scan(const char* metric, const std::vector<std::string>& codecs) {
    document().startScan(metric, codecs);
    return QTest::qWaitFor([&] { return !document().isScanning(); }, 5 * test::kPatience);
  }

  test::Studio studio;
  std::unique_ptr<LoomPage> page;
  FaderBank* faders = nullptr;
  HeatmapView* heatmap = nullptr;
  BudgetPanel* budget = nullptr;
  QSlider* slider = nullptr;
};

// The built-in model's weights without the scan that ships beside them.
class UnscannedLoom : public Loom {
 protected:
  QString modelPath() override {
    const auto copy = studio.folder / "bare.gguf";
    std::filesystem::copy_file(*builtinModelPath(), copy);
    return QString::fromStdString(copy.string());
  }
};

TEST_F(Loom, DraggingAFaderIsOneUndoStepThatUndoTakesBackExactly) {
  const Recipe before = document().recipe();
  const uint64_t bytes = document().plan().fileBytes;
  const QPoint foot(int(faders->barRect(4).center().x()), faders->height() - 3);
  const QPoint top(foot.x(), int(std::lround(faders->yOf(rung("q8_0").bits))));
  QTest::mousePress(faders, Qt::LeftButton, {}, foot);
  QTest::mouseMove(faders, top);
  EXPECT_TRUE(document().isPreviewing());
  EXPECT_GT(document().plan().fileBytes, bytes);
  EXPECT_EQ(document().recipe(), before) << "nothing is changed before the release";
  QTest::mouseRelease(faders, Qt::LeftButton, {}, top);
  EXPECT_FALSE(document().isPreviewing());
  for (const size_t tensor : page->grid().tensors()) {
    const bool moved = page->grid().find(tensor)->column == 4;
    EXPECT_EQ(requested(tensor), moved ? "q8_0" : "tq3_1s");
  }
  ASSERT_EQ(document().undoStack()->count(), 1);
  document().undoStack()->undo();
  EXPECT_EQ(document().recipe(), before);
  EXPECT_EQ(document().plan().fileBytes, bytes);
}

TEST_F(Loom, PinsSurviveDragsStepsAndTheSlider) {
  const size_t pinned = *page->grid().at(1, 4);
  document().setRecipe(document().withPin({pinned}, true), "pin");
  drag(4, rung("q8_0"));
  EXPECT_EQ(requested(pinned), "tq3_1s");
  EXPECT_EQ(requested(*page->grid().at(0, 4)), "q8_0");
  page->selection().select(page->grid().column(4));
  QTest::keyClick(heatmap, Qt::Key_Minus);
  EXPECT_EQ(requested(pinned), "tq3_1s");
  EXPECT_NE(requested(*page->grid().at(0, 4)), "q8_0");
  slideTo(0.9);
  EXPECT_EQ(requested(pinned), "tq3_1s");
  EXPECT_TRUE(document().isPinned(pinned));
}

TEST_F(UnscannedLoom, WithoutAScanTheSliderTakesUniformCodecsAndSaysSo) {
  QTest::qWait(100);
  EXPECT_FALSE(budget->isSolving());
  EXPECT_FALSE(page->findChild<QLabel*>("budgetModeLabel")->text().isEmpty());
  EXPECT_FALSE(page->findChild<QCheckBox*>("holdTotalCheck")->isEnabled());
  const SizeRange range = budget->range();
  ASSERT_LT(range.floor, range.ceiling);
  slideTo(0.3);
  const uint64_t target = range.floor + uint64_t(0.3 * double(range.ceiling - range.floor));
  EXPECT_LE(document().plan().fileBytes, target + 1);
  // The largest that fits: the next rung of the ladder does not.
  const auto& ladder = document().ladder();
  const size_t any = *page->grid().at(0, 2);
  const auto taken =
      std::find(ladder.begin(), ladder.end(), document().plan().tensors[any].requested);
  ASSERT_LT(taken + 1, ladder.end());
  EXPECT_GT(resolve(uniformRecipe(**(taken + 1)), document().model())->fileBytes, target + 1);
  EXPECT_EQ(document().undoStack()->count(), 1);
}

TEST_F(Loom, ATargetBelowTheFloorIsRefusedWithTheReason) {
  auto* size = page->findChild<QLineEdit*>("sizeEdit");
  const Recipe before = document().recipe();
  size->setFocus();
  size->selectAll();
  QTest::keyClicks(size, "0.1 MB");
  QTest::keyClick(size, Qt::Key_Return);
  EXPECT_EQ(document().recipe(), before);
  auto* notice = page->findChild<QLabel*>("loomNoticeLabel");
  EXPECT_TRUE(notice->isVisible());
  EXPECT_FALSE(notice->text().isEmpty());
}

TEST_F(Loom, KeysStepSetPinAndClearTheSelection) {
  const size_t tensor = *page->grid().at(0, 2);
  page->selection().select({tensor});
  const double bits = document().plan().tensors[tensor].requested->bits;
  QTest::keyClick(heatmap, Qt::Key_Plus);
  EXPECT_GT(document().plan().tensors[tensor].requested->bits, bits);
  QTest::keyClick(heatmap, Qt::Key_Minus);
  EXPECT_EQ(document().plan().tensors[tensor].requested->bits, bits);
  QTest::keyClick(heatmap, Qt::Key_8);
  EXPECT_EQ(requested(tensor), "q8_0");
  QTest::keyClick(heatmap, Qt::Key_P);
  EXPECT_TRUE(document().isPinned(tensor));
  QTest::keyClick(heatmap, Qt::Key_Escape);
  EXPECT_TRUE(page->selection().isEmpty());
}

TEST_F(UnscannedLoom, AScanFillsTheHeatmapAndTheSliderSolvesWithinItsTarget) {
  ASSERT_NE(findMetric("weight_error"), nullptr);
  ASSERT_TRUE(scan("weight_error", {"tq2_1b4", "tq3_1s", "q8_0"}));
  auto* metrics = page->findChild<QComboBox*>("metricCombo");
  metrics->setCurrentIndex(metrics->findData("weight_error"));
  for (const size_t tensor : page->grid().tensors()) {
    EXPECT_TRUE(heatmap->cellColor(tensor).isValid()) << tensor;
  }
  ASSERT_TRUE(QTest::qWaitFor([&] { return budget->isSolving(); }, test::kPatience));
  const SizeRange range = budget->range();
  slideTo(0.4);
  const uint64_t target = range.floor + uint64_t(0.4 * double(range.ceiling - range.floor)) + 1;
  EXPECT_LE(document().plan().fileBytes, target);
  EXPECT_GT(double(document().plan().fileBytes), 0.97 * double(target)) << "and uses the room";
  EXPECT_EQ(document().undoStack()->count(), 1);
}

TEST_F(UnscannedLoom, HoldTotalTakesTheBitsFromElsewhere) {
  ASSERT_NE(findMetric("weight_error"), nullptr);
  ASSERT_TRUE(scan("weight_error", {"tq2_1b4", "tq3_1s", "q8_0"}));
  auto* hold = page->findChild<QCheckBox*>("holdTotalCheck");
  ASSERT_TRUE(hold->isEnabled());
  hold->setChecked(true);
  const uint64_t before = document().plan().fileBytes;
  drag(6, rung("q8_0"));
  for (const size_t tensor : page->grid().column(6)) {
    EXPECT_EQ(requested(tensor), "q8_0");
    EXPECT_FALSE(document().isPinned(tensor));
  }
  EXPECT_LE(document().plan().fileBytes, before);
  EXPECT_EQ(document().undoStack()->count(), 1);
}

TEST_F(UnscannedLoom, MeasuredCellsHaveErrorsAndTheTooltipSaysSo) {
  ASSERT_NE(findMetric("kld"), nullptr);
  ASSERT_TRUE(scan("kld", {"tq2_1b4"}));
  auto* metrics = page->findChild<QComboBox*>("metricCombo");
  auto* codecs = page->findChild<QComboBox*>("codecCombo");
  metrics->setCurrentIndex(metrics->findData("kld"));
  codecs->setCurrentIndex(codecs->findData("tq2_1b4"));
  QTest::mouseClick(heatmap, Qt::LeftButton, {}, heatmap->cellRect(2, 3).center().toPoint());
  EXPECT_TRUE(heatmap->cellColor(*page->grid().at(2, 3)).isValid());
  EXPECT_TRUE(heatmap->spokenValue().contains("±")) << heatmap->spokenValue().toStdString();
  page->copyHeatmap();
  const QMimeData* copied = QApplication::clipboard()->mimeData();
  EXPECT_TRUE(copied->hasImage());
  EXPECT_EQ(copied->text().count('\n'), qsizetype(page->grid().tensors().size()) + 1);
}

TEST_F(Loom, QuantizeWritesTheFileThatThePlanPromises) {
  const QString target = QString::fromStdString((studio.folder / "out.gguf").string());
  page->setPathAsker([&](auto chosen) { chosen(target); });
  QSignalSpy written(&document(), &Document::quantized);
  page->findChild<QPushButton*>("quantizeButton")->click();
  ASSERT_TRUE(QTest::qWaitFor([&] { return !written.empty(); }, test::kPatience));
  EXPECT_EQ(std::filesystem::file_size(target.toStdString()), document().plan().fileBytes);
}

TEST_F(Loom, FitsEverythingAt1280By800WithoutCutTexts) {
  const auto* note = page->findChild<QLabel*>("tieNoteLabel");  // comes with the chart
  ASSERT_TRUE(QTest::qWaitFor([&] { return note->isVisible(); }, test::kPatience));
  int checked = 0;
  for (const QLabel* label : page->findChildren<QLabel*>()) {
    if (!label->isVisible() || label->wordWrap() || label->text().isEmpty()) continue;
    ++checked;
    EXPECT_GE(label->width(), label->sizeHint().width()) << label->text().toStdString();
  }
  EXPECT_GT(checked, 10);
  EXPECT_LE(page->minimumSizeHint().height(), 705);
  EXPECT_LE(page->minimumSizeHint().width(), 1208);
}

}  // namespace
}  // namespace bitloom

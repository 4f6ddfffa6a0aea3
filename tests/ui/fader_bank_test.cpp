// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/fader_bank.h"

#include <gtest/gtest.h>

#include <QTest>

#include "tests/ui/studio.h"
#include "ui/models/loom_selection.h"
#include "ui/widgets/heatmap_view.h"

namespace bitloom {
namespace {

class Faders : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(studio.open());
    grid = LoomGrid(studio.document->model(), &studio.document->graph());
    bank.resize(900, 160);
    bank.setGrid(grid);
    bank.setLadder(studio.document->ladder());
    bank.setBars(std::vector<FaderBar>(size_t(grid.columns()), FaderBar{4.0, false}));
    bank.show();
    QObject::connect(&bank, &FaderBank::dragged, [this](const FaderLevels& l) { live = l; });
    QObject::connect(&bank, &FaderBank::dropped, [this](const FaderLevels& l) {
      final = l;
      ++drops;
    });
    QObject::connect(&bank, &FaderBank::dragCancelled, [this] { ++cancels; });
  }

  QPoint on(int column, const Codec& codec) {
    return {int(bank.barRect(column).center().x()), int(bank.yOf(codec.bits))};
  }
  QPoint foot(int column) { return {int(bank.barRect(column).center().x()), bank.height() - 3}; }

  test::Studio studio;
  LoomGrid grid;
  LoomSelection selection;
  FaderBank bank{selection};
  FaderLevels live, final;
  int drops = 0;
  int cancels = 0;
};

TEST_F(Faders, StandExactlyBelowTheHeatmapsColumns) {
  HeatmapView heatmap(selection);
  heatmap.resize(900, 240);
  heatmap.setGrid(grid);
  for (int column = 0; column < grid.columns(); ++column) {
    const QRectF cell = heatmap.cellRect(0, column);
    const QRectF bar = bank.barRect(column);
    EXPECT_EQ(cell.left(), bar.left()) << column;
    EXPECT_EQ(cell.right(), bar.right()) << column;
  }
}

TEST_F(Faders, HigherMeansMoreBitsAndEveryRungCanBeHit) {
  const auto& ladder = studio.document->ladder();
  ASSERT_GE(ladder.size(), 4u);
  for (size_t i = 0; i < ladder.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(bank.yOf(ladder[i]->bits), bank.yOf(ladder[i - 1]->bits));
    }
    EXPECT_EQ(bank.rungAt(bank.yOf(ladder[i]->bits)), ladder[i]);
  }
}

TEST_F(Faders, ADragSnapsToTheLadderAndDropsOnce) {
  const Codec& top = *studio.document->ladder().back();
  QTest::mousePress(&bank, Qt::LeftButton, {}, foot(4));
  QTest::mouseMove(&bank, on(4, top) + QPoint(0, 1));
  EXPECT_TRUE(bank.isDragging());
  EXPECT_EQ(live, (FaderLevels{{4, &top}}));
  EXPECT_EQ(drops, 0);
  QTest::mouseRelease(&bank, Qt::LeftButton, {}, on(4, top));
  EXPECT_EQ(drops, 1);
  EXPECT_EQ(final, (FaderLevels{{4, &top}}));
  EXPECT_FALSE(bank.isDragging());
}

TEST_F(Faders, ShiftPaintsOverSeveralBlocks) {
  const Codec& low = *studio.document->ladder().front();
  QTest::mousePress(&bank, Qt::LeftButton, Qt::ShiftModifier, foot(3));
  for (int column = 3; column <= 6; ++column) {
    QMouseEvent move(QEvent::MouseMove, QPointF(on(column, low)),
                     bank.mapToGlobal(QPointF(on(column, low))), Qt::NoButton, Qt::LeftButton,
                     Qt::ShiftModifier);
    QApplication::sendEvent(&bank, &move);
  }
  QTest::mouseRelease(&bank, Qt::LeftButton, Qt::ShiftModifier, on(6, low));
  EXPECT_EQ(final, (FaderLevels{{3, &low}, {4, &low}, {5, &low}, {6, &low}}));
}

TEST_F(Faders, EscapeGivesTheDragUp) {
  QTest::mousePress(&bank, Qt::LeftButton, {}, foot(4));
  QTest::mouseMove(&bank, on(4, *studio.document->ladder().back()));
  QTest::keyClick(&bank, Qt::Key_Escape);
  EXPECT_EQ(cancels, 1);
  QTest::mouseRelease(&bank, Qt::LeftButton, {}, foot(4));
  EXPECT_EQ(drops, 0);
}

TEST_F(Faders, AClickSelectsTheBlockAndADoubleClickPinsIt) {
  int pinned = -1;
  QObject::connect(&bank, &FaderBank::pinToggled, [&](int column) { pinned = column; });
  QTest::mouseClick(&bank, Qt::LeftButton, {}, foot(2));
  EXPECT_EQ(selection.list().size(), grid.column(2).size());
  EXPECT_EQ(drops, 0);
  QTest::mouseDClick(&bank, Qt::LeftButton, {}, foot(5));
  EXPECT_EQ(pinned, 5);
}

}  // namespace
}  // namespace bitloom

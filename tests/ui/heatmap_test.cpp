// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/heatmap_view.h"

#include <gtest/gtest.h>

#include <QSignalSpy>
#include <QTest>

#include "tests/ui/studio.h"
#include "ui/models/loom_selection.h"
#include "ui/theme.h"

namespace bitloom {
namespace {

class Heatmap : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(studio.open());
    grid = LoomGrid(studio.document->model(), &studio.document->graph());
    view.resize(900, 240);
    view.setGrid(grid);
    view.show();
  }

  QPoint centre(int row, int column) { return view.cellRect(row, column).center().toPoint(); }
  void click(const QPoint& at, Qt::KeyboardModifiers keys = {}) {
    QTest::mouseClick(&view, Qt::LeftButton, keys, at);
  }

  test::Studio studio;
  LoomGrid grid;
  LoomSelection selection;
  HeatmapView view{selection};
};

TEST_F(Heatmap, GridHoldsEveryWeightThatARecipeMayChangeOnce) {
  const auto tensors = studio.document->model().tensors();
  size_t changeable = 0;
  for (const Tensor& tensor : tensors) changeable += isQuantizable(tensor) ? 1 : 0;
  const std::set<size_t> once(grid.tensors().begin(), grid.tensors().end());
  EXPECT_EQ(once.size(), grid.tensors().size());
  EXPECT_EQ(once.size(), changeable);
  EXPECT_EQ(grid.blocks(), int(studio.document->graph().blocks));
  for (const size_t tensor : grid.tensors()) {
    const auto place = grid.find(tensor);
    ASSERT_TRUE(place);
    EXPECT_EQ(grid.at(place->row, place->column), tensor);
  }
  EXPECT_EQ(tensors[*grid.at(2, 4)].name, "blk.3.attn_v.weight");
}

TEST_F(Heatmap, NamesAloneGiveTheSameGrid) {
  const LoomGrid named(studio.document->model(), nullptr);
  EXPECT_EQ(named.blocks(), grid.blocks());
  ASSERT_TRUE(named.embedding());
  EXPECT_EQ(named.embedding(), grid.embedding());
  EXPECT_EQ(named.tensors().size(), grid.tensors().size());
  EXPECT_EQ(named.column(5).size(), grid.column(5).size());
}

TEST_F(Heatmap, ClicksSelectCellsColumnsAndRows) {
  click(centre(1, 3));
  EXPECT_EQ(selection.list(), std::vector<size_t>{*grid.at(1, 3)});
  click(centre(2, 3), Qt::ShiftModifier);
  EXPECT_EQ(selection.tensors().size(), 2u);
  click(centre(1, 3), Qt::ControlModifier);
  EXPECT_EQ(selection.list(), std::vector<size_t>{*grid.at(2, 3)});
  click({centre(0, 6).x(), view.height() - 5});  // the number below the column
  EXPECT_TRUE(selection.containsAll(grid.column(6)));
  EXPECT_EQ(selection.tensors().size(), grid.column(6).size());
  click({10, centre(4, 1).y()});  // the name beside the row
  EXPECT_TRUE(selection.containsAll(grid.row(4)));
  EXPECT_EQ(selection.tensors().size(), grid.row(4).size());
}

TEST_F(Heatmap, ARubberBandSelectsWhatItTouches) {
  QTest::mousePress(&view, Qt::LeftButton, {}, centre(1, 2));
  QTest::mouseMove(&view, centre(3, 4));
  QTest::mouseRelease(&view, Qt::LeftButton, {}, centre(3, 4));
  EXPECT_EQ(selection.tensors().size(), 9u);
  EXPECT_TRUE(selection.contains(*grid.at(2, 3)));
  EXPECT_FALSE(selection.contains(*grid.at(0, 2)));
}

TEST_F(Heatmap, ArrowsMoveAndShiftExtends) {
  click(centre(0, 1));
  QTest::keyClick(&view, Qt::Key_Right);
  QTest::keyClick(&view, Qt::Key_Down);
  EXPECT_EQ(view.current(), (GridPosition{1, 2}));
  EXPECT_EQ(selection.list(), std::vector<size_t>{*grid.at(1, 2)});
  QTest::keyClick(&view, Qt::Key_Right, Qt::ShiftModifier);
  QTest::keyClick(&view, Qt::Key_Down, Qt::ShiftModifier);
  EXPECT_EQ(selection.tensors().size(), 4u);
  QTest::keyClick(&view, Qt::Key_A, Qt::ControlModifier);
  EXPECT_EQ(selection.tensors().size(), grid.tensors().size());
}

TEST_F(Heatmap, ColourFollowsTheLogarithmAndMissingCellsHaveNone) {
  const size_t low = *grid.at(0, 1), middle = *grid.at(1, 1), high = *grid.at(2, 1);
  QSignalSpy range(&view, &HeatmapView::rangeChanged);
  view.setCells({{low, {1e-4, 0}}, {middle, {1e-3, 0}}, {high, {1e-2, 0}}});
  EXPECT_EQ(range.size(), 1);
  EXPECT_EQ(view.cellColor(low), heatColor(0));
  EXPECT_EQ(view.cellColor(middle), heatColor(0.5));
  EXPECT_EQ(view.cellColor(high), heatColor(1));
  EXPECT_FALSE(view.cellColor(*grid.at(3, 1)).isValid());
  const QImage picture = view.grab().toImage();
  const QPoint at = view.cellRect(2, 1).topLeft().toPoint() + QPoint(8, 6);
  EXPECT_EQ(picture.pixelColor(at).rgb(), heatColor(1).rgb());
}

TEST_F(Heatmap, SaysTheCurrentCellToScreenReaders) {
  view.setDescriber([](size_t tensor) { return QString("tensor %1").arg(tensor); });
  click(centre(1, 2));
  EXPECT_EQ(view.spokenValue(), QString("tensor %1").arg(*grid.at(1, 2)));
}

}  // namespace
}  // namespace bitloom

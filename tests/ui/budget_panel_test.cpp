// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/budget_panel.h"

#include <gtest/gtest.h>

#include <QTest>

#include "tests/ui/studio.h"
#include "ui/widgets/fit_chip.h"

namespace bitloom {
namespace {

TEST(BudgetPanel, BudgetsAreRoundAndSurroundTheModel) {
  EXPECT_EQ(niceBudgets(23230752), (std::array<uint64_t, 4>{24000000, 16000000, 12000000, 8000000}));
  EXPECT_EQ(niceBudgets(16400000000),
            (std::array<uint64_t, 4>{16000000000, 12000000000, 8000000000, 6000000000}));
}

TEST(BudgetPanel, AChipIsTrueOnlyWhilePlanAndCacheFit) {
  test::Studio studio;
  ASSERT_TRUE(studio.open());
  BudgetPanel panel(*studio.document);
  QTest::qWait(150);
  ASSERT_GT(panel.cacheBytes(), 0u);
  for (int i = 0; i < 4; ++i) {
    auto* chip = panel.findChild<FitChip*>(QString("fitChip%1").arg(i));
    ASSERT_TRUE(chip);
    const uint64_t needed = studio.document->plan().fileBytes + panel.cacheBytes();
    EXPECT_EQ(chip->fits(), needed <= chip->budget());
    chip->click();
    EXPECT_TRUE(chip->fits()) << "a click solves for the chip's budget";
    EXPECT_LE(studio.document->plan().fileBytes + panel.cacheBytes(), chip->budget());
  }
}

TEST(BudgetPanel, FitMyMachineIsOneUndoStepWithinTheMemory) {
  test::Studio studio;
  ASSERT_TRUE(studio.open());
  BudgetPanel panel(*studio.document);
  QTest::qWait(150);
  QString said;
  QObject::connect(&panel, &BudgetPanel::said, [&](const QString& text) { said = text; });
  panel.fitMachine();
  EXPECT_FALSE(said.isEmpty());
  EXPECT_LE(studio.document->plan().fileBytes, panel.range().ceiling);
  EXPECT_EQ(studio.document->undoStack()->count(), 1);
}

}  // namespace
}  // namespace bitloom

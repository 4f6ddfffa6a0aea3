// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/budget_panel.h"

#include <gtest/gtest.h>

#include <QTest>
#include <algorithm>

#include "core/machine.h"
#include "tests/ui/studio.h"
#include "ui/widgets/fit_chip.h"

namespace bitloom {
namespace {

TEST(BudgetPanel, BudgetsAreRoundAndSurroundTheModel) {
  EXPECT_EQ(niceBudgets(23230752),
            (std::array<uint64_t, 4>{24000000, 16000000, 12000000, 8000000}));
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
    const uint64_t file = studio.document->plan().fileBytes;
    EXPECT_LE(file + panel.cacheBytes(), chip->budget());
    const uint64_t room = std::min(chip->budget() - panel.cacheBytes(), panel.range().ceiling);
    EXPECT_GT(double(file), 0.95 * double(room)) << "and uses it";
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
  const uint64_t file = studio.document->plan().fileBytes;
  if (inspectMachine().availableBytes < uint64_t(2'000'000'000))
    GTEST_SKIP() << "too little memory";
  EXPECT_GT(double(file), 0.99 * double(panel.range().ceiling)) << "so small a model fits whole";
  EXPECT_TRUE(said.contains("all of it fits")) << said.toStdString();
  EXPECT_EQ(studio.document->undoStack()->count(), 1);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/plan_table.h"

#include <gtest/gtest.h>

#include <QAbstractItemModelTester>
#include <QApplication>
#include <QSignalSpy>
#include <QTest>
#include <cmath>

#include "ui/models/damage_words.h"
#include "ui/models/loom_selection.h"
#include "ui/widgets/plan_table_view.h"

namespace bitloom {
namespace {

PlanRow makeRow(size_t tensor, const QString& name, uint64_t bytes, double damage) {
  PlanRow row;
  row.tensor = tensor;
  row.name = name;
  row.requested = row.effective = "q4_0";
  row.why = "dragged";
  row.bytes = bytes;
  row.damage = damage;
  row.error = 0.001;
  return row;
}

std::vector<PlanRow> threeRows() {
  return {makeRow(4, "b", 900, 0.02), makeRow(7, "a", 12000, std::nan("")),
          makeRow(9, "c", 1500000, 0.5)};
}

TEST(PlanTable, KeepsTheRulesOfModelsWhileRowsChange) {
  PlanTable table;
  QAbstractItemModelTester tester(&table, QAbstractItemModelTester::FailureReportingMode::Fatal);
  table.setRows(threeRows());
  EXPECT_EQ(table.rowCount(), 3);
  table.setRows({makeRow(1, "x", 1, 1)});
  EXPECT_EQ(table.rowCount(), 1);
}

TEST(PlanTable, SameTensorsChangeTheirDataWithoutAReset) {
  PlanTable table;
  table.setRows(threeRows());
  QSignalSpy reset(&table, &QAbstractItemModel::modelReset);
  QSignalSpy changed(&table, &QAbstractItemModel::dataChanged);
  table.setRows(threeRows());
  EXPECT_EQ(changed.size(), 0) << "nothing is different, unknown damage included";
  auto rows = threeRows();
  rows[1].effective = "f16";
  table.setRows(rows);
  EXPECT_EQ(reset.size(), 0);
  ASSERT_EQ(changed.size(), 1);
  EXPECT_EQ(changed[0][0].toModelIndex().row(), 1);
  EXPECT_EQ(changed[0][1].toModelIndex().row(), 1);
}

TEST(PlanTable, EditsComeOutAsSignals) {
  PlanTable table;
  table.setCodecs({"q4_0", "q8_0"});
  table.setRows(threeRows());
  QSignalSpy codec(&table, &PlanTable::codecEdited);
  QSignalSpy pin(&table, &PlanTable::pinEdited);
  EXPECT_FALSE(table.setData(table.index(0, PlanTable::Requested), "no such", Qt::EditRole));
  EXPECT_FALSE(table.setData(table.index(0, PlanTable::Requested), "q4_0", Qt::EditRole));
  EXPECT_TRUE(table.setData(table.index(2, PlanTable::Requested), "q8_0", Qt::EditRole));
  ASSERT_EQ(codec.size(), 1);
  EXPECT_EQ(codec[0][0].value<size_t>(), 9u);
  EXPECT_EQ(codec[0][1].toString(), "q8_0");
  EXPECT_TRUE(table.setData(table.index(0, PlanTable::Pin), Qt::Checked, Qt::CheckStateRole));
  ASSERT_EQ(pin.size(), 1);
  EXPECT_EQ(pin[0][0].value<size_t>(), 4u);
  EXPECT_TRUE(pin[0][1].toBool());
}

TEST(PlanTableView, SortsSizesAsNumbersAndSharesTheSelection) {
  PlanTable table;
  table.setRows(threeRows());
  LoomSelection selection;
  PlanTableView view(table, selection);
  view.resize(800, 300);
  view.show();
  view.sortByColumn(PlanTable::Bytes, Qt::DescendingOrder);
  const auto nameAt = [&](int row) { return view.model()->index(row, 0).data().toString(); };
  EXPECT_EQ(nameAt(0), "c");
  EXPECT_EQ(nameAt(2), "b");
  selection.select({7});
  ASSERT_EQ(view.selectionModel()->selectedRows().size(), 1);
  EXPECT_EQ(view.selectionModel()->selectedRows()[0].row(), 1);
  view.selectRow(0);
  EXPECT_EQ(selection.list(), std::vector<size_t>{9});
}

TEST(PlanTableView, OneClickPins) {
  PlanTable table;
  table.setRows(threeRows());
  LoomSelection selection;
  PlanTableView view(table, selection);
  view.resize(800, 300);
  view.show();
  QSignalSpy pin(&table, &PlanTable::pinEdited);
  const QRect cell = view.visualRect(view.model()->index(1, PlanTable::Pin));
  QTest::mouseClick(view.viewport(), Qt::LeftButton, {}, cell.center());
  ASSERT_EQ(pin.size(), 1);
  EXPECT_EQ(pin[0][0].value<size_t>(), 7u);
  EXPECT_TRUE(pin[0][1].toBool());
}

TEST(DamageWords, ComparesWithAnchorsAndCallsTiesTies) {
  const std::vector<DamageAnchor> anchors = {{"TQ3_1S", "tq3_1s", 0.082, 0.002, 1},
                                             {"Q4_0", "q4_0", 0.038, 0.0005, 2}};
  EXPECT_EQ(damageInWords(0.041, 0.001, anchors),
            "ΔKLD 0.041: half of uniform TQ3_1S (0.082), close to Q4_0 (0.038).");
  EXPECT_EQ(damageInWords(0.041, 0.004, anchors),
            "ΔKLD 0.041: half of uniform TQ3_1S (0.082), a tie with Q4_0 (0.038).");
  EXPECT_EQ(damageInWords(0.164, 0.001, {anchors[0]}), "ΔKLD 0.164: twice uniform TQ3_1S (0.082).");
  EXPECT_EQ(damageInWords(0.5, 0.1, {}), "ΔKLD 0.500.");
  EXPECT_TRUE(damageInWords(std::nan(""), 0, anchors).isEmpty());
}

}  // namespace
}  // namespace bitloom

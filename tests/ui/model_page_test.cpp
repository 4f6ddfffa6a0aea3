// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/model_page.h"

#include <QAbstractItemModelTester>
#include <QApplication>
#include <QClipboard>
#include <QLineEdit>
#include <QPushButton>

#include "tests/ui/studio.h"
#include "ui/models/metadata_table.h"
#include "ui/models/tensor_table.h"
#include "ui/widgets/table.h"

namespace bitloom {
namespace {

using test::Studio;

TEST(ModelPage, SaysWhatToDoWhenNothingIsOpen) {
  Studio studio;
  ModelPage page(*studio.document);
  QSignalSpy wanted(&page, &ModelPage::openWanted);
  auto* button = page.findChild<QPushButton*>("openModelButton");
  ASSERT_NE(button, nullptr);
  button->click();
  EXPECT_EQ(wanted.count(), 1);
}

TEST(ModelPage, ListsFiltersAndSortsTensors) {
  Studio studio;
  ModelPage page(*studio.document);
  ASSERT_TRUE(studio.open());
  auto* table = page.findChild<Table*>("tensorTable");
  const int all = table->model()->rowCount();
  EXPECT_EQ(size_t(all), studio.document->model().tensors().size());
  page.findChild<QLineEdit*>("tensorFilter")->setText("ffn_down");
  EXPECT_EQ(table->model()->rowCount(), 12);
  table->sortByColumn(TensorTable::Name, Qt::DescendingOrder);
  EXPECT_EQ(table->model()->index(0, TensorTable::Name).data().toString(),
            "blk.11.ffn_down.weight");
  table->sortByColumn(TensorTable::Name, Qt::AscendingOrder);
  EXPECT_EQ(table->model()->index(2, TensorTable::Name).data().toString(), "blk.2.ffn_down.weight");
}

TEST(ModelPage, CopiesAMetadataValue) {
  Studio studio;
  ModelPage page(*studio.document);
  ASSERT_TRUE(studio.open());
  auto* table = page.findChild<Table*>("metadataTable");
  page.findChild<QLineEdit*>("metadataFilter")->setText("general.architecture");
  ASSERT_EQ(table->model()->rowCount(), 1);
  table->selectAll();
  page.findChild<QPushButton*>("copyValueButton")->click();
  EXPECT_EQ(QApplication::clipboard()->text(), "llama");
}

TEST(ModelPage, ModelsKeepTheirPromises) {
  Studio studio;
  ASSERT_TRUE(studio.open());
  TensorTable tensors;
  MetadataTable metadata;
  const QAbstractItemModelTester first(&tensors,
                                       QAbstractItemModelTester::FailureReportingMode::Fatal);
  const QAbstractItemModelTester second(&metadata,
                                        QAbstractItemModelTester::FailureReportingMode::Fatal);
  tensors.setTensors(studio.document->sharedModel(), {});
  metadata.setMetadata(studio.document->sharedModel());
  EXPECT_GT(tensors.rowCount(), 0);
  EXPECT_GT(metadata.rowCount(), 0);
}

}  // namespace
}  // namespace bitloom

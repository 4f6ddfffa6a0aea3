// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/export_page.h"

#include <QApplication>
#include <QClipboard>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QRadioButton>

#include "tests/ui/studio.h"
#include "ui/widgets/card.h"

namespace bitloom {
namespace {

using test::kPatience;
using test::Studio;

class ExportPageTest : public testing::Test {
 protected:
  ExportPageTest() : page(*studio.document) {
    opened = studio.open();
    page.resize(1180, 680);
    page.show();
  }
  template <typename T>
  T* find(const char* name) const {
    return page.findChild<T*>(name);
  }

  Studio studio;
  ExportPage page;
  bool opened = false;
};

TEST_F(ExportPageTest, SaysBeforeTheWorkWhatMainlineCannotHold) {
  ASSERT_TRUE(opened);
  ASSERT_NE(find<QRadioButton>("gguf-mainlineButton"), nullptr);
  find<QRadioButton>("gguf-mainlineButton")->click();
  EXPECT_FALSE(find<QLabel>("loadsLabel")->text().isEmpty());
  auto* changes = find<QListWidget>("changesList");
  ASSERT_GT(changes->count(), 80);  // every tq3_1s weight
  EXPECT_TRUE(changes->item(0)->text().contains("tq3_1s"));
  EXPECT_TRUE(find<QPushButton>("exportButton")->isEnabled());
}

TEST_F(ExportPageTest, WritesTypesThatMainlineLoadsAndEndsWithACommand) {
  ASSERT_TRUE(opened);
  find<QRadioButton>("gguf-mainlineButton")->click();
  const auto target = studio.folder / "twin.gguf";
  page.setTarget(QString::fromStdString(target.string()));
  QSignalSpy done(studio.document.get(), &Document::exported);
  find<QPushButton>("exportButton")->click();
  ASSERT_TRUE(QTest::qWaitFor([&] { return !done.empty(); }, 2 * kPatience));
  const auto written = Model::open(target);
  ASSERT_TRUE(written);
  const RuntimeProfile* mainline = findProfile("mainline");
  ASSERT_EQ((*written)->tensors().size(), studio.document->model().tensors().size());
  for (const Tensor& tensor : (*written)->tensors()) {
    EXPECT_NE(mainline->find(tensor.type), nullptr) << tensor.name << " is " << tensor.type;
  }
  EXPECT_TRUE(find<Card>("exportResultCard")->isVisible());
  EXPECT_TRUE(
      find<QLineEdit>("commandEdit")->text().contains(QString::fromStdString(target.string())));
  find<QPushButton>("copyCommandButton")->click();
  EXPECT_EQ(QApplication::clipboard()->text(), find<QLineEdit>("commandEdit")->text());
  ASSERT_EQ(studio.runs().size(), 1u);
  EXPECT_EQ(studio.runs()[0].kind, RunKind::Export);
}

TEST_F(ExportPageTest, FollowsThePlan) {
  ASSERT_TRUE(opened);
  const QString size = find<QLabel>("exportSizeLabel")->text();
  ASSERT_TRUE(studio.document->setRecipe(uniformRecipe(*findCodec("q8_0")), "q8"));
  EXPECT_NE(find<QLabel>("exportSizeLabel")->text(), size);
  EXPECT_TRUE(find<QLineEdit>("targetEdit")->text().endsWith("-q8_0.gguf"));
}

}  // namespace
}  // namespace bitloom

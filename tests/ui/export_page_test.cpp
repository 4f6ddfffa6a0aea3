// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/export_page.h"

#include <QApplication>
#include <QClipboard>
#include <QComboBox>
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

// With calibration, moments included, which the page gathers on the way.
TEST_F(ExportPageTest, EncodesByTheChosenMethod) {
  ASSERT_TRUE(opened);
  auto* choice = find<QComboBox>("methodChoice");
  ASSERT_NE(choice, nullptr);
  ASSERT_EQ(choice->count(), int(methods().size()) + 1);
  const auto exported = [&](const char* method) {
    choice->setCurrentIndex(choice->findData(method));
    const auto target = studio.folder / (std::string(method) + ".gguf");
    page.setTarget(QString::fromStdString(target.string()));
    QSignalSpy done(studio.document.get(), &Document::exported);
    find<QPushButton>("exportButton")->click();
    EXPECT_TRUE(QTest::qWaitFor([&] { return !done.empty(); }, 8 * kPatience)) << method;
    return test::readFile(target);
  };
  const std::string nearest = exported("nearest");
  const std::string turned = exported("gptq");
  ASSERT_EQ(studio.runs().size(), 2u);
  EXPECT_NE(studio.runs()[0].recipeJson.find("\"gptq\""), std::string::npos);
  ASSERT_EQ(nearest.size(), turned.size());
  EXPECT_NE(nearest.substr(nearest.size() / 2), turned.substr(turned.size() / 2));
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

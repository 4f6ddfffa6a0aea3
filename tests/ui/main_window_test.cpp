// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/main_window.h"

#include <QDragEnterEvent>
#include <QDropEvent>
#include <QLabel>
#include <QMimeData>
#include <set>

#include "tests/ui/studio.h"
#include "ui/widgets/error_banner.h"

namespace bitloom {
namespace {

using test::kPatience;
using test::Studio;

class MainWindowTest : public testing::Test {
 protected:
  MainWindowTest() : window(*studio.document) {
    window.resize(1280, 800);
    window.show();
    opened = QTest::qWaitForWindowExposed(&window) && studio.open();
  }
  QString label(const char* name) const { return window.findChild<QLabel*>(name)->text(); }

  Studio studio;
  MainWindow window;
  bool opened = false;
};

TEST_F(MainWindowTest, CtrlDigitsReachAllFivePlaces) {
  ASSERT_TRUE(opened);
  for (int i = 0; i < kPlaces; ++i) {
    QTest::keyClick(&window, Qt::Key(Qt::Key_1 + i), Qt::ControlModifier);
    EXPECT_EQ(int(window.place()), i);
  }
}

TEST_F(MainWindowTest, HeaderShowsModelPlanAndMeasurement) {
  ASSERT_TRUE(opened);
  EXPECT_EQ(label("modelLabel").toStdString(), studio.document->model().name());
  EXPECT_TRUE(label("modelNoteLabel").contains("llama · 12 blocks"));
  EXPECT_TRUE(label("modelNoteLabel").contains("F16 source"));
  EXPECT_TRUE(label("sizeNoteLabel").contains("bpw"));
  ASSERT_TRUE(
      QTest::qWaitFor([&] { return label("damageNoteLabel").startsWith("measured"); }, kPatience));
  EXPECT_TRUE(label("damageLabel").contains("±"));
}

TEST_F(MainWindowTest, UndoAndRedoByKeyboardFollowTheTitle) {
  ASSERT_TRUE(opened);
  Document& document = *studio.document;
  EXPECT_FALSE(window.isWindowModified());
  const QString size = label("sizeLabel");
  ASSERT_TRUE(document.setRecipe({}, "source"));
  EXPECT_TRUE(window.isWindowModified());
  EXPECT_NE(label("sizeLabel"), size);
  QTest::keyClick(&window, Qt::Key_Z, Qt::ControlModifier);
  EXPECT_EQ(label("sizeLabel"), size);
  EXPECT_FALSE(window.isWindowModified());
  QTest::keyClick(&window, Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);
  EXPECT_TRUE(document.recipe().rules.empty());
}

TEST_F(MainWindowTest, ErrorsAppearOnThePageWhereTheyHappened) {
  ASSERT_TRUE(opened);
  window.setPlace(Place::Export);
  emit studio.document->failed("Export", "disk.gguf: the disk is full.");
  QList<ErrorBanner*> shown;
  for (ErrorBanner* banner : window.findChildren<ErrorBanner*>()) {
    if (banner->isVisible()) shown << banner;
  }
  ASSERT_EQ(shown.size(), 1);
  EXPECT_TRUE(shown[0]->text().contains("disk.gguf: the disk is full."));
  window.setPlace(Place::Model);
  EXPECT_FALSE(shown[0]->isVisible());
}

TEST_F(MainWindowTest, OpensAFileThatIsDroppedAnywhere) {
  ASSERT_TRUE(opened);
  const auto copy = studio.folder / "dropped.gguf";
  std::filesystem::copy_file(test::sourcePath("resources/models/bitloom-story-11m-f16.gguf"), copy);
  QMimeData data;
  data.setUrls({QUrl::fromLocalFile(QString::fromStdString(copy.string()))});
  QDropEvent drop(QPointF(400, 300), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
  QSignalSpy changed(studio.document.get(), &Document::modelChanged);
  QDragEnterEvent enter(QPoint(400, 300), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
  QApplication::sendEvent(&window, &enter);
  EXPECT_TRUE(enter.isAccepted());
  QApplication::sendEvent(&window, &drop);
  ASSERT_TRUE(QTest::qWaitFor([&] { return !changed.empty(); }, kPatience));
  EXPECT_EQ(studio.document->model().path(), copy);
}

TEST_F(MainWindowTest, EveryPageDrawsSomethingInBothThemes) {
  ASSERT_TRUE(opened);
  for (const ThemeChoice choice : {ThemeChoice::Light, ThemeChoice::Dark}) {
    window.setTheme(choice);
    for (int i = 0; i < kPlaces; ++i) {
      window.setPlace(Place(i));
      const QImage picture = window.grab().toImage();
      std::set<QRgb> colours;
      for (int y = 60; y < picture.height() - 60; y += 3) {
        for (int x = 90; x < picture.width(); x += 3) colours.insert(picture.pixel(x, y));
      }
      EXPECT_GT(colours.size(), 8u) << "page " << i;
      const bool dark = qGray(picture.pixel(picture.width() - 4, 120)) < 128;
      EXPECT_EQ(dark, choice == ThemeChoice::Dark) << "page " << i;
    }
  }
  window.setTheme(ThemeChoice::Light);
}

TEST_F(MainWindowTest, FitsTwelveEightyByEightHundred) {
  ASSERT_TRUE(opened);
  EXPECT_EQ(window.size(), QSize(1280, 800));
  EXPECT_LE(window.minimumSizeHint().width(), 1280);
  EXPECT_LE(window.minimumSizeHint().height(), 800);
}

}  // namespace
}  // namespace bitloom

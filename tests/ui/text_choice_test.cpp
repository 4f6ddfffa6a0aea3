// SPDX-License-Identifier: GPL-3.0-or-later
// Scans and probes on a text of the user's.
#include <gtest/gtest.h>

#include <QComboBox>
#include <fstream>

#include "tests/ui/studio.h"
#include "ui/widgets/scan_bar.h"

namespace bitloom {
namespace {

using test::kPatience;
using test::Studio;

struct TextChoice : testing::Test {
  TextChoice() : bar(*studio.document) {
    std::ofstream out(file);
    for (int i = 0; i < 3000; ++i) out << "def f" << i % 7 << "(x): return x + " << i % 11 << "\n";
  }

  Document& document() { return *studio.document; }
  QString path() const { return QString::fromStdString(file.string()); }
  QComboBox& combo() { return *bar.findChild<QComboBox*>("textCombo"); }
  bool measured() {
    return QTest::qWaitFor(
        [&] { return document().damage().kind == Document::Damage::Kind::Measured; }, kPatience);
  }
  // False when `failed` came instead.
  bool choose(const QString& wanted) {
    QSignalSpy changed(&document(), &Document::textChanged);
    QSignalSpy failed(&document(), &Document::failed);
    document().setTextFile(wanted);
    return QTest::qWaitFor([&] { return !changed.empty(); }, kPatience) && failed.empty();
  }

  Studio studio;
  std::filesystem::path file = studio.folder / "functions.py";
  ScanBar bar;
};

TEST_F(TextChoice, EachTextHasCellsAndDamageOfItsOwn) {
  ASSERT_TRUE(studio.open());
  ASSERT_TRUE(measured());
  const double onBuiltin = document().damage().value;
  const size_t shipped = document().sensitivity("kld").cells.size();
  ASSERT_GT(shipped, 100U);
  EXPECT_EQ(combo().currentText(), "built-in text");

  ASSERT_TRUE(choose(path()));
  EXPECT_EQ(document().textFile(), path());
  EXPECT_EQ(combo().currentText(), "functions.py");
  EXPECT_TRUE(document().sensitivity("kld").cells.empty());
  EXPECT_TRUE(std::isnan(document().prediction().value));
  ASSERT_TRUE(measured());
  EXPECT_GT(std::abs(document().damage().value - onBuiltin), 0.01 * onBuiltin);

  int cells = 0;
  QObject::connect(&document(), &Document::cellMeasured, &document(), [&] { ++cells; });
  document().startScan("kld", {"q8_0"});
  ASSERT_TRUE(QTest::qWaitFor([&] { return cells > 2; }, kPatience));
  document().stopScan();
  ASSERT_TRUE(QTest::qWaitFor([&] { return !document().isScanning(); }, kPatience));
  const size_t kept = document().sensitivity("kld").cells.size();

  ASSERT_TRUE(choose({}));
  EXPECT_EQ(combo().currentText(), "built-in text");
  EXPECT_EQ(document().sensitivity("kld").cells.size(), shipped);
  ASSERT_TRUE(measured());
  EXPECT_NEAR(document().damage().value, onBuiltin, 1e-9);

  // The list remembers the file, and the store its cells.
  const int remembered = combo().findData(path());
  ASSERT_GE(remembered, 0);
  QSignalSpy changed(&document(), &Document::textChanged);
  emit combo().activated(remembered);
  ASSERT_TRUE(QTest::qWaitFor([&] { return !changed.empty(); }, kPatience));
  EXPECT_EQ(document().sensitivity("kld").cells.size(), kept);
}

TEST_F(TextChoice, ATextThatCannotServeIsRefusedAndTheOldOneStays) {
  ASSERT_TRUE(studio.open());
  const size_t shipped = document().sensitivity("kld").cells.size();
  std::ofstream(file, std::ios::trunc) << "too short";
  EXPECT_FALSE(choose(path()));
  EXPECT_FALSE(choose(path() + ".gone"));
  EXPECT_EQ(document().textFile(), QString());
  EXPECT_EQ(combo().currentText(), "built-in text");
  EXPECT_EQ(document().sensitivity("kld").cells.size(), shipped);
}

TEST_F(TextChoice, LeavingATextStopsItsScanAndKeepsWhatCameOutOfTheOther) {
  ASSERT_TRUE(studio.open());
  const size_t shipped = document().sensitivity("kld").cells.size();
  ASSERT_TRUE(choose(path()));
  int cells = 0;
  QObject::connect(&document(), &Document::cellMeasured, &document(), [&] { ++cells; });
  document().startScan("kld", {"q8_0"});
  ASSERT_TRUE(QTest::qWaitFor([&] { return cells > 0; }, kPatience));
  ASSERT_TRUE(choose({}));
  EXPECT_FALSE(document().isScanning());
  ASSERT_TRUE(studio.waitForIdle());
  EXPECT_EQ(document().sensitivity("kld").cells.size(), shipped);
}

TEST_F(TextChoice, OfTwoTextsAskedForAtOnceTheLastOneCounts) {
  ASSERT_TRUE(studio.open());
  const auto other = studio.folder / "other.py";
  std::filesystem::copy_file(file, other);
  document().setTextFile(path());
  document().setTextFile(QString::fromStdString(other.string()));
  ASSERT_TRUE(studio.waitForIdle());
  EXPECT_EQ(document().textFile(), QString::fromStdString(other.string()));
  EXPECT_EQ(combo().currentText(), "other.py");
  document().setTextFile({});
  document().setTextFile(QString::fromStdString(other.string()));  // what is in use
  ASSERT_TRUE(studio.waitForIdle());
  EXPECT_EQ(document().textFile(), QString::fromStdString(other.string()));
}

TEST_F(TextChoice, AnotherModelBeginsWithTheBuiltInText) {
  ASSERT_TRUE(studio.open());
  ASSERT_TRUE(choose(path()));
  ASSERT_TRUE(studio.open());
  EXPECT_EQ(document().textFile(), QString());
  EXPECT_EQ(combo().currentText(), "built-in text");
}

}  // namespace
}  // namespace bitloom

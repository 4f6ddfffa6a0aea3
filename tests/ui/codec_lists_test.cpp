// SPDX-License-Identifier: GPL-3.0-or-later
// Whatever is on the codec shelf is offered wherever the window lets people choose a codec.
#include <gtest/gtest.h>

#include <QComboBox>
#include <iostream>

#include "core/profile.h"
#include "tests/support/tiny_model.h"
#include "tests/ui/studio.h"
#include "ui/main_window.h"
#include "ui/models/plan_table.h"

namespace bitloom {
namespace {

QString text(std::string_view utf8) {
  return QString::fromUtf8(utf8.data(), qsizetype(utf8.size()));
}

// Titles of every codec that writes and is no wider than the built-in model.
QStringList expected() {
  QStringList titles;
  for (const Codec* codec : codecs()) {
    if (codec->encode != nullptr && codec->bits <= 16) titles << text(codec->title);
  }
  return titles;
}

QStringList itemsOf(const QComboBox& combo) {
  QStringList items;
  for (int i = 0; i < combo.count(); ++i) items << combo.itemText(i);
  return items;
}

class CodecLists : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(studio.open());
    window = std::make_unique<MainWindow>(*studio.document);
    ASSERT_GE(expected().size(), 18);
    std::cout << "codecs: " << expected().join(' ').toStdString() << "\n";
  }
  Document& document() { return *studio.document; }

  test::Studio studio;
  std::unique_ptr<MainWindow> window;
};

TEST_F(CodecLists, OfTheHeatmapHoldThemAll) {
  const auto* combo = window->findChild<QComboBox*>("codecCombo");
  ASSERT_NE(combo, nullptr);
  for (const QString& title : expected())
    EXPECT_TRUE(itemsOf(*combo).contains(title)) << title.toStdString();
}

TEST_F(CodecLists, OfThePlanTableHoldThemAll) {
  const auto* table = window->findChild<PlanTable*>();
  ASSERT_NE(table, nullptr);
  for (const QString& title : expected()) {
    EXPECT_TRUE(table->codecs().contains(title.toLower())) << title.toStdString();
  }
}

TEST_F(CodecLists, OfEveryChatColumnHoldThemAll) {
  const auto columns = window->findChildren<QComboBox*>("sourceComboBox");
  ASSERT_GE(columns.size(), 2);
  for (const QComboBox* column : columns) {
    for (const QString& title : expected()) {
      EXPECT_TRUE(itemsOf(*column).contains("Uniform " + title)) << title.toStdString();
    }
  }
}

// Codecs that the steps of the faders may be: rows of the built-in model are multiples of 256.
bool mayBeAStep(const Codec& codec) {
  return codec.encode != nullptr && codec.bits <= 16 && !codec.forTrained &&
         codec.rowBytes(256) != 0;
}

TEST_F(CodecLists, EveryWidthIsAStepOfTheFaders) {
  const auto& ladder = document().ladder();
  for (const Codec* codec : codecs()) {
    if (!mayBeAStep(*codec)) continue;
    EXPECT_EQ(std::count_if(ladder.begin(), ladder.end(),
                            [&](const Codec* step) { return step->bits == codec->bits; }),
              1)
        << codec->name;
  }
}

TEST_F(CodecLists, StepsAreTheBestOfTheirWidthThatTheRuntimeKnows) {
  const RuntimeProfile* profile = findProfile(Recipe().profile);
  ASSERT_NE(profile, nullptr);
  const auto known = [&](const Codec& codec) { return profile->find(codec.name) != nullptr; };
  for (const Codec* step : document().ladder()) {
    EXPECT_TRUE(mayBeAStep(*step)) << step->name;
    for (const Codec* codec : codecs()) {
      if (!mayBeAStep(*codec) || codec->bits != step->bits || codec->bits == 16) continue;
      EXPECT_GE(known(*step), known(*codec)) << step->name << " instead of " << codec->name;
      if (known(*step) != known(*codec)) continue;
      EXPECT_LE(gaussianError(*step), gaussianError(*codec)) << step->name << " " << codec->name;
    }
  }
}

// Rows of 64 and 96 weights.
TEST(CodecListsOfOtherModels, LeaveOutWhatDoesNotFitTheRowsAndKeepWhatTheSourceIs) {
  test::Studio studio;
  const auto path = test::writeTinyModel(studio.folder / "tiny.gguf", {.halfFloats = true});
  ASSERT_TRUE(studio.open(QString::fromStdString(path.string())));
  const auto& ladder = studio.document->ladder();
  EXPECT_GE(ladder.size(), 8u);
  for (const Codec* step : ladder) EXPECT_NE(step->rowBytes(64), 0u) << step->name;
  EXPECT_EQ(ladder.back()->name, "f16");
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Which device measures: chosen in the header, seen there, and used by drags, scans and proofs.
#include <gtest/gtest.h>

#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <cmath>

#include "tests/support/tiny_model.h"
#include "tests/ui/studio.h"
#include "ui/main_window.h"
#include "ui/prove.h"
#include "ui/widgets/error_banner.h"
#include "ui/widgets/fader_bank.h"

namespace bitloom {
namespace {

using test::kPatience;
using test::Studio;

class DeviceChoice : public testing::Test {
 protected:
  Document& document() { return *studio.document; }
  Devices& devices() { return document().devices(); }
  QString label(const char* name) { return window->findChild<QLabel*>(name)->text(); }
  QPushButton& button() { return *window->findChild<QPushButton*>("backendButton"); }

  // The window with the built-in model or a tiny one, devices looked for and the plan measured.
  bool show() { return show("builtin"); }
  bool showTiny() {
    const auto tiny = test::writeTinyModel(studio.folder / "tiny.gguf", {.halfFloats = true});
    return show(QString::fromStdString(tiny.string())) && document().setRecipe(lossy, "q4_0") &&
           measured();
  }
  bool show(const QString& model) {
    window = std::make_unique<MainWindow>(document());
    window->resize(1280, 800);
    window->show();
    return QTest::qWaitForWindowActive(window.get()) && studio.open(model) && measured() &&
           QTest::qWaitFor([&] { return devices().isFound(); }, kPatience);
  }
  bool measured() {
    return QTest::qWaitFor(
        [&] { return document().damage().kind == Document::Damage::Kind::Measured; }, kPatience);
  }
  // By keyboard, as all is reachable.
  QMenu* openMenu() {
    button().setFocus();
    QTest::keyClick(&button(), Qt::Key_Space);
    const auto menus = window->findChildren<QMenu*>("backendMenu");
    return menus.isEmpty() ? nullptr : menus.back();
  }
  bool choose(const QString& title) {
    QMenu* menu = openMenu();
    if (menu == nullptr) return false;
    for (QAction* action : menu->actions()) {
      if (!action->text().contains(title)) continue;
      action->trigger();
      menu->close();
      return true;
    }
    return false;
  }
  // How devices are opened from now on.
  void openWith(const BackendOptions& options) {
    devices().setOpener(
        [options](const std::string& uuid) { return Backend::open(uuid, options); });
  }
  QString visibleError() {
    for (ErrorBanner* banner : window->findChildren<ErrorBanner*>()) {
      if (banner->isVisible()) return banner->text();
    }
    return {};
  }
  void drag(int column, const Codec& codec) {
    auto* faders = window->findChild<FaderBank*>("faderBank");
    const QPoint foot(int(faders->barRect(column).center().x()), faders->height() - 3);
    const QPoint top(foot.x(), int(std::lround(faders->yOf(codec.bits))));
    QTest::mousePress(faders, Qt::LeftButton, {}, foot);
    QTest::mouseMove(faders, top);
    QTest::mouseRelease(faders, Qt::LeftButton, {}, top);
  }

  // Every cell at q4_0.
  static std::vector<Cell> scan(Document& document) {
    std::vector<Cell> cells;
    const auto listening =
        QObject::connect(&document, &Document::cellMeasured, &document,
                         [&](const QString&, const Cell& cell) { cells.push_back(cell); });
    document.startScan("kld", {"q4_0"});
    EXPECT_TRUE(QTest::qWaitFor([&] { return !document.isScanning(); }, 2 * kPatience));
    QObject::disconnect(listening);
    return cells;
  }

  const Recipe lossy = uniformRecipe(*findCodec("q4_0"));
  Studio studio;
  std::unique_ptr<MainWindow> window;
};

#define NEEDS_DEVICE() \
  if (devices().all().empty()) GTEST_SKIP() << devices().problem().toStdString()

TEST_F(DeviceChoice, MeasuresDragsAndTheHeaderSaysSo) {
  ASSERT_TRUE(showTiny());
  NEEDS_DEVICE();
  EXPECT_TRUE(button().text().startsWith("CPU")) << button().text().toStdString();
  const double onCpu = document().damage().value;
  const DeviceInfo device = devices().all().front();

  ASSERT_TRUE(choose(deviceName(device)));
  EXPECT_NE(document().damage().kind, Document::Damage::Kind::Measured);
  ASSERT_TRUE(measured());
  EXPECT_TRUE(devices().use().onDevice) << devices().use().note;
  EXPECT_GT(devices().use().usedBytes, 0U);
  EXPECT_NEAR(document().damage().value, onCpu, 1e-3 * onCpu);
  EXPECT_TRUE(button().text().contains(deviceName(device))) << button().text().toStdString();
  EXPECT_TRUE(button().accessibleName().contains(deviceName(device)));
  EXPECT_TRUE(button().toolTip().contains(QString::fromStdString(device.driver)));
  EXPECT_TRUE(label("backendNoteLabel").contains(" of "))
      << label("backendNoteLabel").toStdString();

  const uint64_t uploaded = devices().use().usedBytes;
  drag(1, *findCodec("q8_0"));
  ASSERT_TRUE(measured());
  EXPECT_LT(document().damage().value, onCpu);
  EXPECT_TRUE(devices().use().onDevice);
  EXPECT_GT(devices().use().usedBytes, uploaded) << "the dragged block is not there";

  const double there = document().damage().value;
  ASSERT_TRUE(choose("CPU"));
  ASSERT_TRUE(measured());
  EXPECT_TRUE(button().text().startsWith("CPU"));
  EXPECT_NEAR(document().damage().value, there, 1e-3 * there);
}

TEST_F(DeviceChoice, ScansAreMeasuredThereAndAgreeWithTheCpu) {
  ASSERT_TRUE(showTiny());
  NEEDS_DEVICE();
  Studio other;  // with a store of its own
  ASSERT_TRUE(other.open(QString::fromStdString(document().model().path().string())));
  const std::vector<Cell> onCpu = scan(*other.document);
  ASSERT_TRUE(choose(deviceName(devices().all().front())));
  ASSERT_TRUE(measured());
  int opened = 0;
  devices().setOpener([&](const std::string& uuid) {
    ++opened;
    return Backend::open(uuid);
  });
  const std::vector<Cell> there = scan(document());
  EXPECT_EQ(opened, 1);
  EXPECT_GT(devices().use().usedBytes, 0U) << "nothing was computed on what the scan has opened";
  EXPECT_TRUE(document().jobs().entries().back().title.contains(devices().chosenName()));
  ASSERT_EQ(there.size(), onCpu.size());
  ASSERT_GT(there.size(), 10U);
  for (size_t i = 0; i < there.size(); ++i) {
    EXPECT_EQ(there[i].tensor, onCpu[i].tensor);
    EXPECT_NEAR(there[i].value, onCpu[i].value, 1e-3 * onCpu[i].value + 1e-9) << there[i].tensor;
  }
}

TEST_F(DeviceChoice, ProofsAreMeasuredThere) {
  ASSERT_TRUE(showTiny());
  NEEDS_DEVICE();
  ProveRequest request{.recipe = lossy, .ladder = document().ladder()};
  JobControl control;
  JobContext job(studio.workers, control);
  const auto onCpu = prove(*document().work(), request, job);
  ASSERT_TRUE(onCpu) << onCpu.error().message;
  EXPECT_FALSE(onCpu->use.onDevice);
  devices().choose(QString::fromStdString(devices().all().front().uuid));
  request.device = devices().forJob();
  const auto there = prove(*document().work(), request, job);
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_TRUE(there->use.onDevice);
  EXPECT_GT(there->use.usedBytes, 0U);
  const double kld = onCpu->rows.front().evaluation.kld.mean;
  EXPECT_NEAR(there->rows.front().evaluation.kld.mean, kld, 1e-3 * kld);
}

TEST_F(DeviceChoice, AfterADeviceIsLostTheCpuGoesOnAndSaysSo) {
  ASSERT_TRUE(showTiny());
  NEEDS_DEVICE();
  const double onCpu = document().damage().value;
  openWith({.lostAtSubmission = 1});
  const QString name = deviceName(devices().all().front());
  ASSERT_TRUE(choose(name));
  ASSERT_TRUE(measured());
  EXPECT_NEAR(document().damage().value, onCpu, 1e-3 * onCpu);
  EXPECT_FALSE(devices().use().onDevice);
  EXPECT_TRUE(button().text().startsWith("CPU")) << button().text().toStdString();
  EXPECT_TRUE(button().toolTip().contains("was lost")) << button().toolTip().toStdString();
  EXPECT_TRUE(visibleError().contains("was lost")) << visibleError().toStdString();

  openWith({});
  ASSERT_TRUE(choose(name)) << "chosen again it is tried again";
  ASSERT_TRUE(measured());
  EXPECT_TRUE(devices().use().onDevice) << devices().use().note;
  EXPECT_FALSE(button().toolTip().contains("was lost"));
}

TEST_F(DeviceChoice, WhatDoesNotFitIsSaidBesideTheDevice) {
  ASSERT_TRUE(show());
  NEEDS_DEVICE();
  openWith({.memoryLimit = uint64_t(12) << 20});
  const QString name = deviceName(devices().all().front());
  ASSERT_TRUE(choose(name));
  ASSERT_TRUE(measured());
  EXPECT_TRUE(devices().use().onDevice) << devices().use().note;
  EXPECT_TRUE(button().text().contains(name));
  auto* note = window->findChild<QLabel*>("backendNoteLabel");
  EXPECT_TRUE(note->toolTip().contains("of 12 blocks")) << note->toolTip().toStdString();
  EXPECT_EQ(note->property("tone").toString(), "warn");
  EXPECT_EQ(visibleError(), QString());
}

TEST_F(DeviceChoice, IsRememberedAndTheCpuStandsInWhenItIsGone) {
  ASSERT_TRUE(showTiny());
  NEEDS_DEVICE();
  const QString uuid = QString::fromStdString(devices().all().front().uuid);
  devices().choose(uuid);
  ASSERT_TRUE(measured());
  window.reset();
  {
    Studio again(/*keepSettings=*/true);
    EXPECT_EQ(again.document->devices().chosen(), uuid);
    EXPECT_FALSE(again.document->devices().chosenName().isEmpty());
  }
  Settings().setValue("device/uuid", QString(32, '0'));
  Settings().setValue("device/name", "Old card");
  Studio gone(/*keepSettings=*/true);
  MainWindow shown(*gone.document);
  shown.show();
  ASSERT_TRUE(gone.open());
  const auto isMeasured = [&] {
    return gone.document->damage().kind == Document::Damage::Kind::Measured;
  };
  ASSERT_TRUE(QTest::qWaitFor(isMeasured, kPatience));
  auto* backend = shown.findChild<QPushButton*>("backendButton");
  EXPECT_TRUE(backend->text().startsWith("CPU")) << backend->text().toStdString();
  EXPECT_TRUE(backend->toolTip().contains("Old card is not there. The CPU goes on."));
  QStringList errors;
  for (ErrorBanner* banner : shown.findChildren<ErrorBanner*>()) {
    if (banner->isVisible()) errors << banner->text();
  }
  EXPECT_EQ(errors, QStringList("Device: Old card is not there. The CPU goes on."));
}

TEST_F(DeviceChoice, WithoutADriverItIsOffAndSaysWhy) {
  ::setenv("VK_ICD_FILENAMES", "/no/such/driver.json", 1);
  const bool shown = show();
  ::unsetenv("VK_ICD_FILENAMES");
  ASSERT_TRUE(shown);
  EXPECT_TRUE(devices().all().empty());
  QMenu* menu = openMenu();
  ASSERT_NE(menu, nullptr);
  QStringList on, off;
  for (const QAction* action : menu->actions()) {
    (action->isEnabled() ? on : off) << action->text();
  }
  ASSERT_EQ(on.size(), 1);
  EXPECT_TRUE(on[0].startsWith("CPU"));
  EXPECT_TRUE(off.contains(devices().problem()));
  EXPECT_TRUE(devices().problem().startsWith("Vulkan is off: "))
      << devices().problem().toStdString();
  EXPECT_TRUE(button().toolTip().contains(devices().problem()));
  menu->close();
}

}  // namespace
}  // namespace bitloom

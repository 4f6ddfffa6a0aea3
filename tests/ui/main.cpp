// SPDX-License-Identifier: GPL-3.0-or-later
// Every run of a window test has a home of its own: settings and sessions never leak.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <QApplication>
#include <QStandardPaths>

#include "tests/support/paths.h"
#include "ui/plurals.h"
#include "ui/theme.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const bitloom::test::TempDir home;
  ::setenv("HOME", home.path().c_str(), 1);
  if (::getenv("QT_QPA_PLATFORM") == nullptr) ::setenv("QT_QPA_PLATFORM", "offscreen", 1);
  QStandardPaths::setTestModeEnabled(true);
  QApplication application(argc, argv);
  QApplication::setApplicationName("bitloom");
  bitloom::Plurals plurals;
  QApplication::installTranslator(&plurals);
  bitloom::applyTheme(application, bitloom::ThemeChoice::Light);
  return RUN_ALL_TESTS();
}

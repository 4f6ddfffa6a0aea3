// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/settings.h"

#include <QStandardPaths>

namespace bitloom {

Settings::Settings()
    : QSettings(
          QStandardPaths::writableLocation(QStandardPaths::AppConfigLocation) + "/bitloom.ini",
          QSettings::IniFormat) {}

}  // namespace bitloom

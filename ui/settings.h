// SPDX-License-Identifier: GPL-3.0-or-later
// What the window remembers between starts, in one file of the user's configuration folder.
#pragma once
#include <QSettings>

namespace bitloom {

class Settings : public QSettings {
 public:
  Settings();
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Painted widgets made legible to assistive programs: name, and a value that follows the current
// cell or fader. `installLoomAccessibility` once; `announceValue` whenever the value changed.
#pragma once
#include <QString>

class QWidget;

namespace bitloom {

class AccessibleText {
 public:
  virtual ~AccessibleText() = default;
  virtual QString spokenName() const = 0;
  virtual QString spokenValue() const = 0;
};

void installLoomAccessibility();
void announceValue(QWidget& widget);

}  // namespace bitloom

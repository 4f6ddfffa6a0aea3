// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/plurals.h"

namespace bitloom {

QString Plurals::translate(const char*, const char* source, const char*, int count) const {
  if (count < 0) return {};  // no number: the source is the text
  return QString::fromUtf8(source).replace("(s)", count == 1 ? "" : "s");
}

}  // namespace bitloom

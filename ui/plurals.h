// SPDX-License-Identifier: GPL-3.0-or-later
// English plurals of texts written as "%n block(s)", for as long as no translation is loaded.
#pragma once
#include <QTranslator>

namespace bitloom {

class Plurals : public QTranslator {
  Q_OBJECT
 public:
  using QTranslator::QTranslator;
  bool isEmpty() const override { return false; }
  QString translate(const char* context, const char* source, const char* disambiguation,
                    int count) const override;
};

}  // namespace bitloom

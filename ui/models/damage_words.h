// SPDX-License-Identifier: GPL-3.0-or-later
// ΔKLD in words, by anchors of this very model: "half of uniform TQ3_1S (0.082), close to Q4_0".
// Differences inside the errors are called ties.
#pragma once
#include <QString>
#include <vector>

namespace bitloom {

struct DamageAnchor {
  QString title;  // "TQ3_1S", uniform
  QString codec;
  double value = 0;
  double error = 0;
  uint64_t fileBytes = 0;
};

// Empty when there is nothing to compare with. `compareWith`: the anchor that a ratio is said for.
QString damageInWords(double value, double error, const std::vector<DamageAnchor>& anchors,
                      const QString& compareWith = QStringLiteral("tq3_1s"));

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/damage_words.h"

#include <QCoreApplication>
#include <cmath>

#include "ui/format.h"

namespace bitloom {
namespace {

QString tr(const char* text) { return QCoreApplication::translate("DamageWords", text); }

bool isTie(double value, double error, const DamageAnchor& anchor) {
  return std::abs(value - anchor.value) <= std::hypot(error, anchor.error);
}

// "half of", "3.1 times": what `ratio` times something is called.
QString times(double ratio) {
  if (ratio < 0.15) return tr("under a sixth of");
  if (ratio < 0.29) return tr("a quarter of");
  if (ratio < 0.42) return tr("a third of");
  if (ratio < 0.58) return tr("half of");
  if (ratio < 0.7) return tr("two thirds of");
  if (ratio < 0.85) return tr("three quarters of");
  if (ratio < 0.97) return tr("a little less than");
  if (ratio <= 1.03) return tr("the same as");
  if (ratio < 1.15) return tr("a little more than");
  if (ratio < 1.75) return tr("one and a half times");
  if (ratio < 2.25) return tr("twice");
  return tr("%1 times").arg(ratio, 0, 'f', ratio < 10 ? 1 : 0);
}

const DamageAnchor* nearest(double value, const std::vector<DamageAnchor>& anchors) {
  const DamageAnchor* best = nullptr;
  double distance = 0;
  for (const DamageAnchor& anchor : anchors) {
    if (!(anchor.value > 0)) continue;
    const double d = std::abs(std::log(value / anchor.value));
    if (best && d >= distance) continue;
    best = &anchor;
    distance = d;
  }
  return best;
}

}  // namespace

QString damageInWords(double value, double error, const std::vector<DamageAnchor>& anchors,
                      const QString& compareWith) {
  if (!std::isfinite(value)) return {};
  if (value <= 0) return tr("No damage that this probe can see.");
  const DamageAnchor* close = nearest(value, anchors);
  const DamageAnchor* compared = nullptr;
  for (const DamageAnchor& anchor : anchors) {
    if (anchor.codec == compareWith && anchor.value > 0) compared = &anchor;
  }
  QStringList parts;
  if (compared && compared != close) {
    parts << (isTie(value, error, *compared)
                  ? tr("a tie with uniform %1 (%2)")
                  : times(value / compared->value) + tr(" uniform %1 (%2)"))
                 .arg(compared->title, formatKld(compared->value));
  }
  if (close) {
    const double ratio = value / close->value;
    const QString shown = formatKld(close->value);
    if (isTie(value, error, *close)) {
      parts << tr("a tie with %1 (%2)").arg(close->title, shown);
    } else if (ratio > 0.8 && ratio < 1.25) {
      parts << tr("close to %1 (%2)").arg(close->title, shown);
    } else {
      parts << times(ratio) + tr(" uniform %1 (%2)").arg(close->title, shown);
    }
  }
  if (parts.isEmpty()) return tr("ΔKLD %1.").arg(formatKld(value));
  return tr("ΔKLD %1: %2.").arg(formatKld(value), parts.join(tr(", ")));
}

}  // namespace bitloom

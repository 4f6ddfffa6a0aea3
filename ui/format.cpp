// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/format.h"

#include <QCoreApplication>
#include <array>
#include <cmath>

namespace bitloom {
namespace {

QString text(const char* source) { return QCoreApplication::translate("format", source); }

// At least three significant digits, no more than two decimals.
QString threeDigits(double value) {
  const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return QString::number(value, 'f', decimals);
}

QString scaled(double value, double step, const std::array<const char*, 5>& units) {
  size_t unit = 0;
  while (unit + 1 < units.size() && value >= 0.9995 * step) {
    value /= step;
    ++unit;
  }
  const QString number = unit == 0 ? QString::number(value, 'f', 0) : threeDigits(value);
  const QString name = text(units[unit]);
  return name.isEmpty() ? number : number + u' ' + name;
}

}  // namespace

QString formatGB(uint64_t bytes) {
  return scaled(double(bytes), 1000.0, {"B", "kB", "MB", "GB", "TB"});
}

QString formatGiB(uint64_t bytes) {
  return scaled(double(bytes), 1024.0, {"B", "KiB", "MiB", "GiB", "TiB"});
}

QString formatBpw(double bits) { return text("%1 bpw").arg(bits, 0, 'f', 3); }

QString formatCount(uint64_t count) {
  return scaled(double(count), 1000.0, {"", "K", "M", "B", "T"});
}

QString formatGrouped(uint64_t number) {
  QString digits = QString::number(number);
  for (qsizetype at = digits.size() - 3; at > 0; at -= 3) digits.insert(at, QChar(0x2009));
  return digits;
}

QString formatKld(double value) {
  if (!std::isfinite(value)) return text("unknown");
  const double size = std::abs(value);
  if (size == 0) return QStringLiteral("0");
  if (size < 0.0001) return QString::number(value, 'e', 1).replace("e-0", "e-");
  return QString::number(value, 'f', size < 0.01 ? 4 : size < 10 ? 3 : 1);
}

QString formatKldError(double value, double error) {
  if (!std::isfinite(value)) return text("unknown");
  if (!std::isfinite(error) || error <= 0) return formatKld(value);
  const double size = std::max(std::abs(value), error);
  if (size < 0.0005) {
    const int exponent = int(std::floor(std::log10(size)));
    const double unit = std::pow(10.0, exponent);
    return QStringLiteral("(%1 ± %2)e%3")
        .arg(value / unit, 0, 'f', 1)
        .arg(error / unit, 0, 'f', 1)
        .arg(exponent);
  }
  // Two digits of the error decide how many of the value mean anything.
  const int places = int(std::clamp(1 - std::floor(std::log10(error)), 0.0, 6.0));
  if (error < 1e-6) return QStringLiteral("%1 ± %2").arg(formatKld(value), formatKld(error));
  return QStringLiteral("%1 ± %2").arg(value, 0, 'f', places).arg(error, 0, 'f', places);
}

QString formatDuration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return text("unknown");
  if (seconds < 0.0095) return text("%1 ms").arg(seconds * 1000, 0, 'f', 1);
  if (seconds < 0.095) return text("%1 s").arg(seconds, 0, 'f', 2);
  if (seconds < 9.95) return text("%1 s").arg(seconds, 0, 'f', 1);
  const auto whole = qint64(std::llround(seconds));
  if (whole < 60) return text("%1 s").arg(whole);
  if (whole < 3600) return text("%1 min %2 s").arg(whole / 60).arg(whole % 60);
  return text("%1 h %2 min").arg(whole / 3600).arg(whole % 3600 / 60);
}

QString formatPercent(double share) {
  const double percent = share * 100;
  const bool round = std::abs(percent) >= 99.95 || std::abs(percent) < 0.05;
  return text("%1 %").arg(percent, 0, 'f', round || std::abs(percent) >= 10 ? 0 : 1);
}

}  // namespace bitloom

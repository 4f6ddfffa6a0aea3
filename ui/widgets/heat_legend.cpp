// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/heat_legend.h"

#include <QLinearGradient>
#include <QPainter>
#include <algorithm>

#include "ui/theme.h"

namespace bitloom {
namespace {

QString shortNumber(double value) {
  QString text = QString::number(value, 'g', 2);
  return text.replace("e-0", "e-").replace("e+0", "e");
}

}  // namespace

HeatLegend::HeatLegend(QWidget* parent) : QWidget(parent) {
  setObjectName("heatLegend");
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

QSize HeatLegend::sizeHint() const { return {320, fontMetrics().height() * 2 + 4}; }

void HeatLegend::setMeaning(bool measured, const QString& unit) {
  m_measured = measured;
  m_unit = unit;
  update();
}

void HeatLegend::setRange(const std::optional<std::pair<double, double>>& range, bool clipped) {
  m_clipped = clipped;
  m_range = range;
  setAccessibleName(range ? tr("Colours from %1 to %2 %3")
                                .arg(shortNumber(range->first), shortNumber(range->second), m_unit)
                          : tr("Nothing measured yet"));
  setToolTip(accessibleName());
  update();
}

void HeatLegend::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const QFontMetricsF metrics(font());
  const double line = metrics.height();
  const double word = std::max(metrics.horizontalAdvance(tr("measured")),
                               metrics.horizontalAdvance(tr("± as marks"))) +
                      10;
  const QRectF ramp(word, 2, std::max(40.0, width() - word), line - 5);
  painter.setPen(m_measured ? theme().good : theme().warn);
  painter.drawText(QRectF(0, 0, word, line), Qt::AlignLeft | Qt::AlignVCenter,
                   m_measured ? tr("measured") : tr("proxy"));
  QLinearGradient gradient(ramp.topLeft(), ramp.topRight());
  for (int i = 0; i <= 16; ++i) gradient.setColorAt(i / 16.0, heatColor(i / 16.0));
  painter.fillRect(ramp, gradient);
  QRectF ends(word, line + 2, ramp.width(), line);
  const auto drawErrors = [&] {
    painter.drawText(QRectF(0, line + 2, word, line), Qt::AlignLeft | Qt::AlignVCenter,
                     m_measured ? tr("± as marks") : tr("no error"));
  };
  painter.setPen(theme().faint);
  if (!m_range) {
    drawErrors();
    painter.drawText(ends, Qt::AlignLeft | Qt::AlignVCenter, tr("no cells yet"));
    return;
  }
  const QString below = m_clipped ? QStringLiteral("≤ ") : QString();
  const QString above = m_clipped ? QStringLiteral("≥ ") : QString();
  const QString low = below + shortNumber(m_range->first);
  const QString high = above + shortNumber(m_range->second);
  const QString full = tr("%1 %2").arg(high, m_unit);
  const bool fits = metrics.horizontalAdvance(low + "  " + full) < ramp.width();
  if (metrics.horizontalAdvance(low + "  " + high) < ramp.width()) {
    drawErrors();
  } else {
    ends.setLeft(0);
  }
  painter.drawText(ends, Qt::AlignLeft | Qt::AlignVCenter, low);
  painter.drawText(ends, Qt::AlignRight | Qt::AlignVCenter, fits ? full : high);
}

}  // namespace bitloom

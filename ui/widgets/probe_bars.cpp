// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/probe_bars.h"

#include <QPainter>
#include <algorithm>

#include "ui/theme.h"

namespace bitloom {
namespace {

// White space made visible, line ends as one sign.
QString shown(const QString& token) {
  QString text = token;
  text.replace('\n', u'⏎');
  text.replace('\t', u'⇥');
  const QString trimmed = text.trimmed();
  return trimmed.isEmpty() ? QString(text).replace(' ', u'␣') : trimmed;
}

QString percent(double share) { return QString::number(share * 100, 'f', share < 0.0995 ? 1 : 0); }

}  // namespace

ProbeBars::ProbeBars(QWidget* parent) : QWidget(parent) {
  setObjectName("probeBars");
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  setAccessibleName(tr("Likeliest next tokens"));
}

QSize ProbeBars::sizeHint() const { return {260, (fontMetrics().height() + 3) * kRows}; }
QSize ProbeBars::minimumSizeHint() const { return {160, sizeHint().height() * 3 / kRows}; }

void ProbeBars::setRows(std::vector<ProbeRow> rows) {
  m_rows = std::move(rows);
  if (m_rows.size() > size_t(kRows)) m_rows.resize(kRows);
  QStringList spoken;
  for (const ProbeRow& row : m_rows) {
    spoken << tr("%1: %2 to %3 percent")
                  .arg(shown(row.token), percent(row.reference), percent(row.variant));
  }
  setAccessibleDescription(spoken.join("; "));
  update();
}

void ProbeBars::setEmptyText(const QString& text) {
  m_emptyText = text;
  update();
}

void ProbeBars::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const Theme& colors = theme();
  if (m_rows.empty()) {
    painter.setPen(colors.faint);
    painter.drawText(rect(), Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap, m_emptyText);
    return;
  }
  const QFontMetricsF metrics(font());
  const size_t fitting = size_t(std::clamp(height() / (fontMetrics().height() + 2), 1, kRows));
  const double step = double(height()) / double(fitting);
  const double nameWidth = std::min(width() * 0.27, 90.0);
  const double numberWidth = metrics.horizontalAdvance("99.9 → 99.9 %") + 4;
  const double left = nameWidth + 6;
  const double length = std::max(10.0, width() - left - numberWidth - 8);
  double most = 0.01;
  for (const ProbeRow& row : m_rows) most = std::max({most, row.reference, row.variant});
  for (size_t i = 0; i < std::min(fitting, m_rows.size()); ++i) {
    const ProbeRow& row = m_rows[i];
    const double top = double(i) * step;
    painter.setPen(colors.text);
    painter.drawText(QRectF(0, top, nameWidth, step), Qt::AlignLeft | Qt::AlignVCenter,
                     metrics.elidedText(shown(row.token), Qt::ElideRight, nameWidth));
    const auto bar = [&](double share, double y, const QColor& color) {
      painter.setPen(Qt::NoPen);
      painter.setBrush(color);
      painter.drawRoundedRect(QRectF(left, y, std::max(3.0, length * share / most), 5), 2, 2);
    };
    bar(row.reference, top + step / 2 - 6, colors.faint);
    bar(row.variant, top + step / 2 + 1, colors.accent);
    painter.setPen(colors.faint);
    painter.drawText(QRectF(width() - numberWidth, top, numberWidth, step),
                     Qt::AlignRight | Qt::AlignVCenter,
                     tr("%1 → %2 %").arg(percent(row.reference), percent(row.variant)));
  }
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/role_bars.h"

#include <QPainter>
#include <algorithm>

#include "ui/format.h"
#include "ui/theme.h"

namespace bitloom {
namespace {
constexpr int kRowGap = 7;
}

void RoleBars::setRows(std::vector<Row> rows) {
  m_rows = std::move(rows);
  QStringList spoken;
  for (const Row& row : m_rows) spoken << row.role + ' ' + formatGB(row.bytes);
  setAccessibleName(tr("Size by role: %1").arg(spoken.join(", ")));
  setMinimumHeight(sizeHint().height());
  updateGeometry();
  update();
}

QSize RoleBars::sizeHint() const {
  return {240, int(m_rows.size()) * (fontMetrics().height() + kRowGap)};
}

void RoleBars::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const Theme& t = theme();
  const QFontMetrics metrics = fontMetrics();
  uint64_t largest = 1;
  uint64_t total = 0;
  int names = 0;
  for (const Row& row : m_rows) {
    largest = std::max(largest, row.bytes);
    total += row.bytes;
    names = std::max(names, metrics.horizontalAdvance(row.role));
  }
  const int figures = metrics.horizontalAdvance("888 MB · 88.8 %");
  const int left = names + 12;
  const double room = std::max(10, width() - left - figures - 12);
  int y = 0;
  for (const Row& row : m_rows) {
    const QRect line(0, y, width(), metrics.height());
    painter.setPen(t.text);
    painter.drawText(line, Qt::AlignLeft | Qt::AlignVCenter, row.role);
    painter.setPen(t.faint);
    painter.drawText(
        line, Qt::AlignRight | Qt::AlignVCenter,
        tr("%1 · %2").arg(formatGB(row.bytes), formatPercent(double(row.bytes) / double(total))));
    const QRectF track(left, line.center().y() - 4, room, 8);
    painter.setPen(Qt::NoPen);
    painter.setBrush(t.track);
    painter.drawRoundedRect(track, 4, 4);
    painter.setBrush(t.accent);
    QRectF bar = track;
    bar.setWidth(std::max(4.0, room * double(row.bytes) / double(largest)));
    painter.drawRoundedRect(bar, 4, 4);
    y += metrics.height() + kRowGap;
  }
}

}  // namespace bitloom

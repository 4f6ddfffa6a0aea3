// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/fit_chip.h"

#include <QPainter>

#include "ui/theme.h"

namespace bitloom {
namespace {

QString roundSize(uint64_t bytes) {
  return bytes >= 1000000000 ? FitChip::tr("%1 GB").arg(bytes / 1000000000)
                             : FitChip::tr("%1 MB").arg(bytes / 1000000);
}

}  // namespace

FitChip::FitChip(QWidget* parent) : QAbstractButton(parent) {
  setFocusPolicy(Qt::StrongFocus);
  setCursor(Qt::PointingHandCursor);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void FitChip::setBudget(uint64_t bytes) {
  m_budget = bytes;
  setAccessibleName(tr("Budget of %1").arg(roundSize(bytes)));
  updateGeometry();
  update();
}

void FitChip::setFits(bool fits, const QString& arithmetic) {
  m_fits = fits;
  setToolTip(arithmetic);
  setAccessibleDescription(arithmetic);
  update();
}

QString FitChip::label() const {
  return (m_fits ? QStringLiteral("✓ ") : QStringLiteral("✗ ")) + roundSize(m_budget);
}

QSize FitChip::sizeHint() const {
  return {fontMetrics().horizontalAdvance(label()) + 12, fontMetrics().height() + 8};
}

void FitChip::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const QColor color = !isEnabled() ? theme().faint : m_fits ? theme().good : theme().warn;
  const double width = hasFocus() ? 2 : 1;
  painter.setPen(QPen(hasFocus() ? theme().accent : color, width));
  painter.setBrush(underMouse() || isDown() ? theme().accentSoft : QColor(Qt::transparent));
  const QRectF shape = QRectF(rect()).adjusted(width / 2, width / 2, -width / 2, -width / 2);
  painter.drawRoundedRect(shape, shape.height() / 2, shape.height() / 2);
  painter.setPen(color);
  painter.drawText(rect(), Qt::AlignCenter, label());
}

}  // namespace bitloom

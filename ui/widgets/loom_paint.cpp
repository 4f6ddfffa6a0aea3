// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/loom_paint.h"

#include <QPainter>
#include <QPainterPath>

#include "ui/theme.h"

namespace bitloom {

void drawLock(QPainter& painter, const QRectF& rect, const QColor& color) {
  painter.save();
  painter.setRenderHint(QPainter::Antialiasing);
  const double w = rect.width();
  const double h = rect.height();
  const QRectF body(rect.left() + w * 0.12, rect.top() + h * 0.45, w * 0.76, h * 0.5);
  const QRectF bow(rect.left() + w * 0.27, rect.top() + h * 0.1, w * 0.46, h * 0.7);
  QPen pen(color, w * 0.15);
  painter.setPen(pen);
  painter.setBrush(Qt::NoBrush);
  painter.drawArc(bow, 0, 180 * 16);
  painter.setPen(Qt::NoPen);
  painter.setBrush(color);
  painter.drawRoundedRect(body, w * 0.1, w * 0.1);
  painter.restore();
}

void drawHatch(QPainter& painter, const QRectF& rect) {
  painter.save();
  painter.setRenderHint(QPainter::Antialiasing);
  QPainterPath shape;
  shape.addRoundedRect(rect, 3, 3);
  QColor back = theme().track;
  back.setAlphaF(0.55f);
  painter.fillPath(shape, back);
  painter.setClipPath(shape, Qt::IntersectClip);
  QColor line = theme().faint;
  line.setAlphaF(0.6f);
  painter.setPen(QPen(line, 1));
  for (double x = rect.left() - rect.height() + 5; x < rect.right(); x += 9) {
    painter.drawLine(QPointF(x, rect.bottom()), QPointF(x + rect.height(), rect.top()));
  }
  painter.restore();
}

QColor inkOn(const QColor& background) {
  const double luma =
      0.299 * background.redF() + 0.587 * background.greenF() + 0.114 * background.blueF();
  return luma > 0.5 ? QColor(Qt::black) : QColor(Qt::white);
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The few marks that heatmap and faders both draw.
#pragma once
#include <QColor>
#include <QRectF>

class QPainter;

namespace bitloom {

void drawLock(QPainter& painter, const QRectF& rect, const QColor& color);
void drawHatch(QPainter& painter, const QRectF& rect);  // not measured
QColor inkOn(const QColor& background);                 // black or white, whichever reads better

}  // namespace bitloom

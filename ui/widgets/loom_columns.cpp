// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/loom_columns.h"

#include <QCoreApplication>
#include <QFontMetricsF>
#include <QWidget>
#include <algorithm>
#include <cmath>

#include "ui/models/loom_grid.h"

namespace bitloom {
namespace {

constexpr double kSmallest = 11;   // points: nothing is smaller
constexpr double kSideGap = 10;    // between the blocks and what stands beside them
constexpr double kRightRoom = 62;  // for the word at the end of a line

}  // namespace

QFont smallFont(const QWidget& widget) {
  QFont font = widget.font();
  if (font.pointSizeF() > kSmallest) {
    font.setPointSizeF(std::max(kSmallest, font.pointSizeF() * 0.86));
  }
  return font;
}

QString columnName(const LoomGrid& grid, int column) {
  const char* context = "LoomColumns";
  if (column == 0) return QCoreApplication::translate(context, "embedding");
  if (column == grid.blocks() + 1) return QCoreApplication::translate(context, "head");
  return QCoreApplication::translate(context, "block %1").arg(column - 1);
}

LoomColumns::LoomColumns(const QWidget& widget, const LoomGrid& grid) : m_blocks(grid.blocks()) {
  const QFontMetricsF metrics(widget.font());
  double label = metrics.horizontalAdvance("00.00");
  for (int r = 0; r < grid.rows(); ++r) {
    label = std::max(label, metrics.horizontalAdvance(QString::fromStdString(grid.role(r))));
  }
  m_gutter = std::ceil(label) + 14;
  m_side = std::ceil(metrics.height()) + 2;
  m_blocksLeft = m_gutter + m_side + kSideGap;
  m_headLeft = std::max(m_blocksLeft + 10, widget.width() - kRightRoom - m_side);
  m_step = (m_headLeft - kSideGap - m_blocksLeft) / std::max(1, m_blocks);
}

QRectF LoomColumns::column(int column) const {
  if (column == 0) return {m_gutter, 0, m_side, 0};
  if (column == m_blocks + 1) return {m_headLeft, 0, m_side, 0};
  const double gap = m_step > 8 ? 2 : m_step > 4 ? 1 : 0;
  return {m_blocksLeft + (column - 1) * m_step, 0, m_step - gap, 0};
}

int LoomColumns::columnAt(double x) const {
  if (x >= m_gutter && x < m_gutter + m_side) return 0;
  if (x >= m_headLeft && x < m_headLeft + m_side) return m_blocks + 1;
  const int block = int(std::floor((x - m_blocksLeft) / m_step));
  return block >= 0 && block < m_blocks ? block + 1 : -1;
}

int LoomColumns::numberStep(double textWidth) const {
  for (const int step : {1, 2, 5, 10, 20, 50}) {
    if (m_step * step > textWidth * 1.4) return step;
  }
  return 100;
}

}  // namespace bitloom

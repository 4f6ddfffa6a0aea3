// SPDX-License-Identifier: GPL-3.0-or-later
// Where the Loom's columns stand, so that heatmap and faders line up to the pixel: a gutter for
// labels, the embedding, the blocks, the head, and room at the right for a line's name.
#pragma once
#include <QFont>
#include <QRectF>
#include <QString>

class QWidget;

namespace bitloom {

class LoomGrid;

class LoomColumns {
 public:
  // Both widgets must have the same width and font.
  LoomColumns(const QWidget& widget, const LoomGrid& grid);

  double gutter() const { return m_gutter; }
  double left() const { return m_gutter; }
  double right() const { return m_headLeft + m_side; }
  // x and width of a column (0: embedding, 1 … blocks, blocks + 1: head); y and height are 0.
  QRectF column(int column) const;
  int columnAt(double x) const;  // −1 outside
  // Every how many blocks a number fits.
  int numberStep(double textWidth) const;

 private:
  double m_gutter = 0;
  double m_side = 0;
  double m_blocksLeft = 0;
  double m_step = 1;
  double m_headLeft = 0;
  int m_blocks = 0;
};

QFont smallFont(const QWidget& widget);                // secondary text
QString columnName(const LoomGrid& grid, int column);  // "embedding", "block 17", "head"

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The faders: one bar for each block (and for the embedding and the head), in the heatmap's
// columns. Height is the block's mean bits per weight on a scale that gives every rung of the
// ladder the same room, so that each can be hit. Dragging snaps to the ladder: `dragged` while the
// hand moves, `dropped` once on release, `dragCancelled` by Esc. With Shift every bar under the
// mouse takes the level. The widget changes nothing itself but the selection.
#pragma once
#include <QStringList>
#include <QWidget>
#include <map>
#include <optional>
#include <vector>

#include "core/codec.h"
#include "ui/models/loom_grid.h"
#include "ui/widgets/loom_accessible.h"

namespace bitloom {

class LoomSelection;

struct FaderBar {
  double bits = 0;      // mean bits per weight; 0: no such column
  bool pinned = false;  // at least one of its tensors
};

using FaderLevels = std::map<int, const Codec*>;  // column → codec

class FaderBank : public QWidget, public AccessibleText {
  Q_OBJECT

 public:
  explicit FaderBank(LoomSelection& selection, QWidget* parent = nullptr);

  void setGrid(const LoomGrid& grid);
  void setLadder(std::vector<const Codec*> ladder);
  void setBars(std::vector<FaderBar> bars);  // one for each column of the grid
  void setUniform(double bits);              // the plan's mean: the dashed line
  // Lines beside the bar that is dragged; empty hides them.
  void setBubble(const QStringList& lines) {
    m_bubble = lines;
    update();
  }

  bool isDragging() const { return !m_levels.empty(); }
  int dragColumn() const { return m_dragColumn; }
  QRectF barRect(int column) const;
  double yOf(double bits) const;
  const Codec* rungAt(double y) const;

  QSize sizeHint() const override { return {600, 120}; }
  QSize minimumSizeHint() const override { return {320, 80}; }
  QString spokenName() const override;
  QString spokenValue() const override;

 signals:
  void dragged(const bitloom::FaderLevels& levels);
  void dropped(const bitloom::FaderLevels& levels);
  void dragCancelled();
  void pinToggled(int column);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void mouseDoubleClickEvent(QMouseEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void focusInEvent(QFocusEvent* event) override;
  void focusOutEvent(QFocusEvent* event) override;
  bool event(QEvent* event) override;

 private:
  double highBits() const;
  void dragTo(const QPointF& point, bool paint);
  void drawScale(QPainter& painter) const;
  void drawBar(QPainter& painter, int column) const;
  void drawUniform(QPainter& painter) const;
  void drawBubble(QPainter& painter) const;
  void setCurrent(int column);

  LoomSelection& m_selection;
  LoomGrid m_grid;
  std::vector<const Codec*> m_ladder;
  std::vector<FaderBar> m_bars;
  double m_uniform = 0;
  QStringList m_bubble;
  std::optional<QPointF> m_pressed;
  int m_dragColumn = -1;
  int m_current = 1;
  std::vector<int> m_moving;  // columns that follow the drag
  FaderLevels m_levels;       // non-empty while dragging
};

}  // namespace bitloom

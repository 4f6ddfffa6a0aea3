// SPDX-License-Identifier: GPL-3.0-or-later
// The heatmap: rows are roles, columns are blocks, colour is the logarithm of a cell's value. Shows
// what it is given and changes only the shared selection; everything else comes out as signals.
//
// Mouse: a cell, a column's number, a row's name, a rubber band; Shift adds, Ctrl toggles.
// Keys: arrows move, with Shift they extend, with Ctrl they move without selecting; Space toggles,
// Ctrl+A selects all, Ctrl+C copies.
#pragma once
#include <QWidget>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "ui/models/loom_grid.h"
#include "ui/widgets/loom_accessible.h"

namespace bitloom {

class LoomColumns;
class LoomSelection;

struct HeatCell {
  double value = 0;
  double error = 0;  // 0: a proxy, which has none
};

class HeatmapView : public QWidget, public AccessibleText {
  Q_OBJECT

 public:
  explicit HeatmapView(LoomSelection& selection, QWidget* parent = nullptr);

  void setGrid(const LoomGrid& grid);
  void setCells(std::map<size_t, HeatCell> cells);  // by tensor; what is missing is hatched
  void setCell(size_t tensor, const HeatCell& cell);
  void setPins(std::set<size_t> pins);
  // Text of a cell's tooltip and of its accessible description.
  void setDescriber(std::function<QString(size_t tensor)> describe) { m_describe = describe; }

  // The ends of the colours: smallest and largest positive value, or of many cells the 3 % and 97 %
  // points (`isClipped`). Empty: nothing measured.
  std::optional<std::pair<double, double>> range() const;
  bool isClipped() const { return m_clipped; }
  QColor cellColor(size_t tensor) const;  // invalid: not measured
  QRectF cellRect(int row, int column) const;
  GridPosition current() const { return m_current; }

  QSize sizeHint() const override { return {600, 190}; }
  QSize minimumSizeHint() const override { return {320, 120}; }
  QString spokenName() const override;
  QString spokenValue() const override;

 signals:
  void copyRequested();
  void rangeChanged();

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void focusInEvent(QFocusEvent* event) override;
  void focusOutEvent(QFocusEvent* event) override;
  bool event(QEvent* event) override;

 private:
  struct Hit {
    enum class Kind { Nothing, Cell, Column, Row } kind = Kind::Nothing;
    int row = 0;
    int column = 0;
  };
  Hit hitAt(const QPointF& point) const;
  std::vector<size_t> tensorsOf(const Hit& hit) const;
  double rowHeight() const;
  void drawLabels(QPainter& painter, const LoomColumns& columns) const;
  void drawCell(QPainter& painter, int row, int column) const;
  void drawError(QPainter& painter, const QRectF& rect, const HeatCell& cell,
                 const QColor& color) const;
  void drawSelection(QPainter& painter) const;
  void selectRubberBand();
  void moveCurrent(int rows, int columns, Qt::KeyboardModifiers modifiers);
  void setCurrent(const GridPosition& position);
  std::vector<size_t> between(const GridPosition& a, const GridPosition& b) const;
  void updateRange();

  LoomSelection& m_selection;
  LoomGrid m_grid;
  std::map<size_t, HeatCell> m_cells;
  std::set<size_t> m_pins;
  std::function<QString(size_t)> m_describe;
  std::optional<std::pair<double, double>> m_range;
  bool m_clipped = false;
  GridPosition m_current{0, 1};
  GridPosition m_anchor{0, 1};
  std::optional<QPointF> m_pressed;
  std::vector<size_t> m_beforeBand;
  QRectF m_band;
};

}  // namespace bitloom

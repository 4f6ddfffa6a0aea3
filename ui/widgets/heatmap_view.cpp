// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/heatmap_view.h"

#include <QApplication>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/models/loom_selection.h"
#include "ui/theme.h"
#include "ui/widgets/loom_columns.h"
#include "ui/widgets/loom_paint.h"

namespace bitloom {
namespace {

constexpr double kCellGap = 2;
constexpr size_t kManyCells = 40;
constexpr double kShownError = 0.05;  // of the value; smaller errors draw no mark

}  // namespace

HeatmapView::HeatmapView(LoomSelection& selection, QWidget* parent)
    : QWidget(parent), m_selection(selection) {
  installLoomAccessibility();
  setObjectName("heatmapView");
  setFocusPolicy(Qt::StrongFocus);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
  connect(&m_selection, &LoomSelection::changed, this, [this] { update(); });
}

void HeatmapView::setGrid(const LoomGrid& grid) {
  m_grid = grid;
  m_cells.clear();
  m_pins.clear();
  m_current = m_anchor = {0, std::min(1, grid.columns() - 1)};
  updateRange();
  updateGeometry();
  update();
}

void HeatmapView::setCells(std::map<size_t, HeatCell> cells) {
  m_cells = std::move(cells);
  updateRange();
  update();
  announceValue(*this);
}

void HeatmapView::setCell(size_t tensor, const HeatCell& cell) {
  m_cells[tensor] = cell;
  updateRange();
  update();
}

void HeatmapView::setPins(std::set<size_t> pins) {
  if (pins == m_pins) return;
  m_pins = std::move(pins);
  update();
}

std::optional<std::pair<double, double>> HeatmapView::range() const { return m_range; }

void HeatmapView::updateRange() {
  std::vector<double> values;
  for (const auto& [tensor, cell] : m_cells) {
    if (cell.value > 0 && std::isfinite(cell.value)) values.push_back(cell.value);
  }
  std::sort(values.begin(), values.end());
  // A few outliers would leave one colour for all others: they share the ends.
  const size_t cut = values.size() < kManyCells ? 0 : values.size() * 3 / 100;
  std::optional<std::pair<double, double>> range;
  if (!values.empty()) range = {values[cut], values[values.size() - 1 - cut]};
  m_clipped = cut > 0;
  if (range == m_range) return;
  m_range = range;
  emit rangeChanged();
}

QColor HeatmapView::cellColor(size_t tensor) const {
  const auto cell = m_cells.find(tensor);
  if (cell == m_cells.end()) return {};
  if (!m_range || !(cell->second.value > 0)) return heatColor(0);
  const double low = std::log(m_range->first);
  const double span = std::log(m_range->second) - low;
  return heatColor(span > 0 ? (std::log(cell->second.value) - low) / span : 0.5);
}

// --- geometry --------------------------------------------------------------------------------

double HeatmapView::rowHeight() const {
  const double numbers = QFontMetricsF(smallFont(*this)).height() + 6;
  return (height() - numbers) / std::max(1, m_grid.rows());
}

QRectF HeatmapView::cellRect(int row, int column) const {
  const LoomColumns columns(*this, m_grid);
  const QRectF span = columns.column(column);
  const bool side = column == 0 || column == m_grid.blocks() + 1;
  const double step = rowHeight();
  const double top = side ? 0 : row * step;
  const double height = (side ? step * m_grid.rows() : step) - kCellGap;
  return {span.left(), top, span.width(), height};
}

HeatmapView::Hit HeatmapView::hitAt(const QPointF& point) const {
  if (m_grid.isEmpty()) return {};
  const LoomColumns columns(*this, m_grid);
  const int column = columns.columnAt(point.x());
  const int row = int(std::floor(point.y() / rowHeight()));
  const bool inRows = row >= 0 && row < m_grid.rows();
  if (column >= 0 && inRows) {
    const bool side = column == 0 || column == m_grid.blocks() + 1;
    return {Hit::Kind::Cell, side ? 0 : row, column};
  }
  if (column >= 0 && row >= m_grid.rows()) return {Hit::Kind::Column, 0, column};
  if (inRows && point.x() < columns.gutter()) return {Hit::Kind::Row, row, 0};
  return {};
}

std::vector<size_t> HeatmapView::tensorsOf(const Hit& hit) const {
  switch (hit.kind) {
    case Hit::Kind::Cell:
      if (const auto tensor = m_grid.at(hit.row, hit.column)) return {*tensor};
      return {};
    case Hit::Kind::Column:
      return m_grid.column(hit.column);
    case Hit::Kind::Row:
      return m_grid.row(hit.row);
    case Hit::Kind::Nothing:
      break;
  }
  return {};
}

// --- painting --------------------------------------------------------------------------------

void HeatmapView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  if (m_grid.isEmpty()) return;
  drawLabels(painter, LoomColumns(*this, m_grid));
  for (int column = 0; column < m_grid.columns(); ++column) {
    const bool side = column == 0 || column == m_grid.blocks() + 1;
    for (int row = 0; row < (side ? 1 : m_grid.rows()); ++row) drawCell(painter, row, column);
  }
  drawSelection(painter);
  if (!m_band.isNull()) {
    QColor fill = theme().accent;
    painter.setPen(QPen(fill, 1));
    fill.setAlphaF(0.15f);
    painter.setBrush(fill);
    painter.drawRect(m_band);
  }
}

void HeatmapView::drawLabels(QPainter& painter, const LoomColumns& columns) const {
  const double step = rowHeight();
  painter.setFont(font());
  painter.setPen(theme().faint);
  for (int row = 0; row < m_grid.rows(); ++row) {
    const QRectF rect(0, row * step, columns.gutter() - 10, step - kCellGap);
    painter.drawText(rect, Qt::AlignRight | Qt::AlignVCenter | Qt::TextDontClip,
                     QString::fromStdString(m_grid.role(row)));
  }
  painter.setFont(smallFont(*this));
  const QFontMetricsF metrics(painter.font());
  const double top = step * m_grid.rows() + 3;
  const auto number = [&](int column, const QString& text) {
    const QPointF centre = columns.column(column).center();
    const double width = metrics.horizontalAdvance(text) + 4;
    painter.drawText(QRectF(centre.x() - width / 2, top, width, metrics.height()), Qt::AlignCenter,
                     text);
  };
  const int every = columns.numberStep(metrics.horizontalAdvance("00"));
  for (int block = 0; block < m_grid.blocks(); block += every) {
    number(block + 1, QString::number(block));
  }
  if (m_grid.embedding()) number(0, m_grid.tiedHead() ? tr("tied") : tr("emb"));
  if (m_grid.head()) number(m_grid.blocks() + 1, tr("head"));
}

void HeatmapView::drawCell(QPainter& painter, int row, int column) const {
  const auto tensor = m_grid.at(row, column);
  if (!tensor) return;
  const QRectF rect = cellRect(row, column);
  const QColor color = cellColor(*tensor);
  if (!color.isValid()) {
    drawHatch(painter, rect);
  } else {
    painter.setPen(Qt::NoPen);
    painter.setBrush(color);
    painter.drawRoundedRect(rect, 3, 3);
    drawError(painter, rect, m_cells.at(*tensor), color);
  }
  if (!m_pins.count(*tensor)) return;
  const double size = std::min({14.0, rect.height() * 0.7, rect.width() * 0.8});
  const QRectF badge(rect.right() - size - 2, rect.top() + 2, size, size);
  painter.setPen(Qt::NoPen);
  painter.setBrush(theme().panel);
  painter.drawRoundedRect(badge, 3, 3);
  drawLock(painter, badge.adjusted(1, 1, -1, -1), theme().warn);
}

void HeatmapView::drawError(QPainter& painter, const QRectF& rect, const HeatCell& cell,
                            const QColor& color) const {
  if (!(cell.error > 0) || !(cell.value > 0)) return;
  const double relative = std::min(1.0, cell.error / cell.value);
  if (relative < kShownError) return;
  QColor ink = inkOn(color);
  ink.setAlphaF(0.55f);
  const double half = std::min(rect.height(), 40.0) * 0.4 * relative;
  const QPointF centre = rect.center();
  painter.setPen(QPen(ink, 1.2));
  painter.drawLine(centre - QPointF(0, half), centre + QPointF(0, half));
  painter.drawLine(centre + QPointF(-2, -half), centre + QPointF(2, -half));
  painter.drawLine(centre + QPointF(-2, half), centre + QPointF(2, half));
}

void HeatmapView::drawSelection(QPainter& painter) const {
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(theme().accent, 2));
  for (int column = 0; column < m_grid.columns(); ++column) {
    const bool side = column == 0 || column == m_grid.blocks() + 1;
    if (!side && m_grid.rows() > 1 && m_selection.containsAll(m_grid.column(column))) {
      const QRectF all = cellRect(0, column).united(cellRect(m_grid.rows() - 1, column));
      painter.drawRoundedRect(all.adjusted(-1, 1, 1, 1), 4, 4);
      continue;
    }
    for (int row = 0; row < (side ? 1 : m_grid.rows()); ++row) {
      const auto tensor = m_grid.at(row, column);
      if (!tensor || !m_selection.contains(*tensor)) continue;
      painter.drawRoundedRect(cellRect(row, column).adjusted(0, 1, 0, -1), 3, 3);
    }
  }
  if (!hasFocus()) return;
  painter.setPen(QPen(theme().text, 1.5, Qt::DotLine));
  painter.drawRoundedRect(cellRect(m_current.row, m_current.column).adjusted(3, 3, -3, -3), 2, 2);
}

// --- mouse -----------------------------------------------------------------------------------

void HeatmapView::mousePressEvent(QMouseEvent* event) {
  const Hit hit = hitAt(event->position());
  const std::vector<size_t> tensors = tensorsOf(hit);
  if (event->button() == Qt::RightButton) {
    // The menu acts on the selection; a cell outside it becomes the selection first.
    if (!tensors.empty() && !m_selection.containsAll(tensors)) m_selection.select(tensors);
    return;
  }
  if (event->button() != Qt::LeftButton) return;
  m_pressed = event->position();
  m_beforeBand = event->modifiers() & (Qt::ShiftModifier | Qt::ControlModifier)
                     ? m_selection.list()
                     : std::vector<size_t>();
  if (hit.kind == Hit::Kind::Cell) {
    m_anchor = {hit.row, hit.column};
    setCurrent(m_anchor);
  }
  m_selection.select(tensors, LoomSelection::modeFor(event->modifiers()));
}

void HeatmapView::mouseMoveEvent(QMouseEvent* event) {
  if (!m_pressed) return;
  const QPointF delta = event->position() - *m_pressed;
  if (m_band.isNull() && delta.manhattanLength() < QApplication::startDragDistance()) return;
  m_band = QRectF(*m_pressed, event->position()).normalized();
  selectRubberBand();
  update();
}

void HeatmapView::mouseReleaseEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton) return;
  m_pressed.reset();
  m_band = {};
  update();
}

void HeatmapView::selectRubberBand() {
  std::vector<size_t> tensors = m_beforeBand;
  for (int column = 0; column < m_grid.columns(); ++column) {
    const bool side = column == 0 || column == m_grid.blocks() + 1;
    for (int row = 0; row < (side ? 1 : m_grid.rows()); ++row) {
      const auto tensor = m_grid.at(row, column);
      if (tensor && cellRect(row, column).intersects(m_band)) tensors.push_back(*tensor);
    }
  }
  m_selection.select(tensors);
}

// --- keys ------------------------------------------------------------------------------------

void HeatmapView::keyPressEvent(QKeyEvent* event) {
  if (event->matches(QKeySequence::Copy)) return emit copyRequested();
  if (event->matches(QKeySequence::SelectAll)) return m_selection.select(m_grid.tensors());
  switch (event->key()) {
    case Qt::Key_Left:
      return moveCurrent(0, -1, event->modifiers());
    case Qt::Key_Right:
      return moveCurrent(0, 1, event->modifiers());
    case Qt::Key_Up:
      return moveCurrent(-1, 0, event->modifiers());
    case Qt::Key_Down:
      return moveCurrent(1, 0, event->modifiers());
    case Qt::Key_Home:
      return moveCurrent(0, -m_grid.columns(), event->modifiers());
    case Qt::Key_End:
      return moveCurrent(0, m_grid.columns(), event->modifiers());
    case Qt::Key_Space:
      if (const auto tensor = m_grid.at(m_current.row, m_current.column)) {
        m_selection.select({*tensor}, LoomSelection::Mode::Toggle);
      }
      return;
    default:
      QWidget::keyPressEvent(event);
  }
}

void HeatmapView::moveCurrent(int rows, int columns, Qt::KeyboardModifiers modifiers) {
  if (m_grid.isEmpty()) return;
  const int first = m_grid.embedding() ? 0 : 1;
  const int last = m_grid.head() ? m_grid.blocks() + 1 : m_grid.blocks();
  setCurrent({std::clamp(m_current.row + rows, 0, std::max(0, m_grid.rows() - 1)),
              std::clamp(m_current.column + columns, first, std::max(first, last))});
  if (modifiers & Qt::ControlModifier) return;
  if (!(modifiers & Qt::ShiftModifier)) m_anchor = m_current;
  m_selection.select(between(m_anchor, m_current));
}

std::vector<size_t> HeatmapView::between(const GridPosition& a, const GridPosition& b) const {
  std::vector<size_t> tensors;
  const auto [left, right] = std::minmax(a.column, b.column);
  const auto [top, bottom] = std::minmax(a.row, b.row);
  for (int column = left; column <= right; ++column) {
    for (int row = top; row <= bottom; ++row) {
      if (const auto tensor = m_grid.at(row, column)) tensors.push_back(*tensor);
    }
  }
  return tensors;
}

void HeatmapView::setCurrent(const GridPosition& position) {
  m_current = position;
  announceValue(*this);
  update();
}

void HeatmapView::focusInEvent(QFocusEvent* event) {
  QWidget::focusInEvent(event);
  announceValue(*this);
  update();
}

void HeatmapView::focusOutEvent(QFocusEvent* event) {
  QWidget::focusOutEvent(event);
  update();
}

bool HeatmapView::event(QEvent* event) {
  if (event->type() != QEvent::ToolTip) return QWidget::event(event);
  auto* help = static_cast<QHelpEvent*>(event);
  const Hit hit = hitAt(help->pos());
  const auto tensor = hit.kind == Hit::Kind::Cell ? m_grid.at(hit.row, hit.column) : std::nullopt;
  if (tensor && m_describe) {
    QToolTip::showText(help->globalPos(), m_describe(*tensor), this,
                       cellRect(hit.row, hit.column).toAlignedRect());
  } else {
    QToolTip::hideText();
  }
  return true;
}

QString HeatmapView::spokenName() const { return tr("Sensitivity heatmap"); }

QString HeatmapView::spokenValue() const {
  const auto tensor = m_grid.at(m_current.row, m_current.column);
  return tensor && m_describe ? m_describe(*tensor) : QString();
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/fader_bank.h"

#include <QApplication>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/format.h"
#include "ui/models/loom_selection.h"
#include "ui/theme.h"
#include "ui/widgets/loom_columns.h"
#include "ui/widgets/loom_paint.h"

namespace bitloom {
namespace {

constexpr double kCap = 4;        // thickness of a bar's top
constexpr double kFoot = 1.5;     // rungs below the lowest, so that its bar can be seen and grabbed
constexpr double kHeadroom = 26;  // for the lock above a full bar

}  // namespace

FaderBank::FaderBank(LoomSelection& selection, QWidget* parent)
    : QWidget(parent), m_selection(selection) {
  installLoomAccessibility();
  setObjectName("faderBank");
  setFocusPolicy(Qt::StrongFocus);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
  connect(&m_selection, &LoomSelection::changed, this, [this] { update(); });
}

void FaderBank::setGrid(const LoomGrid& grid) {
  m_grid = grid;
  m_bars.assign(size_t(grid.columns()), {});
  m_levels.clear();
  m_pressed.reset();
  m_current = std::min(1, grid.columns() - 1);
  update();
}

void FaderBank::setLadder(std::vector<const Codec*> ladder) {
  m_ladder = std::move(ladder);
  update();
}

void FaderBank::setBars(std::vector<FaderBar> bars) {
  m_bars = std::move(bars);
  m_bars.resize(size_t(m_grid.columns()));
  update();
  announceValue(*this);
}

void FaderBank::setUniform(double bits) {
  m_uniform = bits;
  update();
}

// --- scale -----------------------------------------------------------------------------------

double FaderBank::highBits() const {
  double high = m_ladder.empty() ? 8 : m_ladder.back()->bits;
  for (const FaderBar& bar : m_bars) high = std::max(high, bar.bits);
  return high;
}

double FaderBank::yOf(double bits) const {
  std::vector<double> stops;
  for (const Codec* rung : m_ladder) stops.push_back(rung->bits);
  if (stops.empty() || highBits() > stops.back()) stops.push_back(highBits());
  // Bits below the first rung (a ternary source, say) share the foot of the scale.
  double at = kFoot * bits / stops.front();
  for (size_t i = 0; i < stops.size() && bits >= stops[i]; ++i) {
    at = kFoot + double(i);
    if (i + 1 < stops.size()) {
      at += std::min(1.0, (bits - stops[i]) / (stops[i + 1] - stops[i]));
    }
  }
  const double share = at / (kFoot + double(stops.size()) - 1);
  return height() - std::min(share, 1.0) * (height() - kHeadroom);
}

const Codec* FaderBank::rungAt(double y) const {
  const Codec* best = nullptr;
  for (const Codec* rung : m_ladder) {
    if (!best || std::abs(yOf(rung->bits) - y) < std::abs(yOf(best->bits) - y)) best = rung;
  }
  return best;
}

QRectF FaderBank::barRect(int column) const {
  const double bits = m_bars[size_t(column)].bits;
  if (bits <= 0) return {};
  const QRectF span = LoomColumns(*this, m_grid).column(column);
  const double top = yOf(bits);
  return {span.left(), top, span.width(), height() - top};
}

// --- painting --------------------------------------------------------------------------------

void FaderBank::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  if (m_grid.isEmpty() || m_bars.empty()) return;
  drawScale(painter);
  for (int column = 0; column < m_grid.columns(); ++column) drawBar(painter, column);
  drawUniform(painter);
  drawBubble(painter);
}

void FaderBank::drawScale(QPainter& painter) const {
  const LoomColumns columns(*this, m_grid);
  painter.setFont(smallFont(*this));
  const QFontMetricsF metrics(painter.font());
  painter.setPen(theme().faint);
  painter.drawText(QPointF(0, metrics.ascent()), tr("bits per weight"));
  double last = height() + metrics.height();
  std::vector<double> ticks;
  for (const Codec* rung : m_ladder) ticks.push_back(rung->bits);
  if (!ticks.empty() && highBits() > ticks.back()) ticks.push_back(highBits());
  for (const double bits : ticks) {
    const double y = yOf(bits);
    if (last - y < metrics.height() * 1.2) continue;
    last = y;
    QColor line = theme().border;
    painter.setPen(QPen(line, 1));
    painter.drawLine(QPointF(columns.left() - 4, y), QPointF(columns.right(), y));
    painter.setPen(theme().faint);
    const QRectF rect(0, y - metrics.height() / 2, columns.gutter() - 10, metrics.height());
    painter.drawText(rect, Qt::AlignRight | Qt::AlignVCenter, QString::number(bits, 'g', 4));
  }
}

void FaderBank::drawBar(QPainter& painter, int column) const {
  const QRectF rect = barRect(column);
  if (rect.isNull()) return;
  const bool moving = m_levels.count(column) > 0;
  const bool selected = moving || m_selection.containsAll(m_grid.column(column));
  painter.setPen(Qt::NoPen);
  painter.setBrush(selected ? theme().accent : theme().bar);
  painter.drawRoundedRect(rect.adjusted(0, 0, 0, 3), 2, 2);  // its foot is cut by the edge
  painter.setBrush(selected ? theme().text : theme().faint);
  painter.drawRoundedRect(QRectF(rect.left(), rect.top(), rect.width(), kCap), 2, 2);
  if (m_bars[size_t(column)].pinned) {
    const double size = std::clamp(rect.width(), 8.0, 13.0);
    drawLock(painter, QRectF(rect.center().x() - size / 2, rect.top() - size - 3, size, size),
             theme().warn);
  }
  if (hasFocus() && column == m_current) {
    painter.setBrush(Qt::NoBrush);
    painter.setPen(QPen(theme().text, 1.5, Qt::DotLine));
    painter.drawRoundedRect(rect.adjusted(2, 6, -2, -2), 2, 2);
  }
}

void FaderBank::drawUniform(QPainter& painter) const {
  if (m_uniform <= 0) return;
  const LoomColumns columns(*this, m_grid);
  const double y = yOf(m_uniform);
  painter.setPen(QPen(theme().warn, 1.2, Qt::DashLine));
  painter.drawLine(QPointF(columns.left() - 4, y), QPointF(columns.right() + 4, y));
  painter.setFont(smallFont(*this));
  painter.drawText(QRectF(columns.right() + 8, y - 10, width() - columns.right() - 8, 20),
                   Qt::AlignLeft | Qt::AlignVCenter, tr("mean"));
}

void FaderBank::drawBubble(QPainter& painter) const {
  if (m_bubble.isEmpty() || m_dragColumn < 0) return;
  QFont bold = font();
  bold.setBold(true);
  const QFont small = smallFont(*this);
  double width = 0;
  for (qsizetype i = 0; i < m_bubble.size(); ++i) {
    const QFontMetricsF metrics(i == 0 ? bold : small);
    width = std::max(width, metrics.horizontalAdvance(m_bubble[i]));
  }
  const double line = QFontMetricsF(bold).height() + 2;
  const QSizeF size(width + 24, line * double(m_bubble.size()) + 12);
  const QRectF bar = barRect(m_dragColumn);
  double x = bar.right() + 10;
  if (x + size.width() > this->width()) x = bar.left() - 10 - size.width();
  x = std::clamp(x, 0.0, std::max(0.0, this->width() - size.width()));
  const double y =
      std::clamp(bar.top() - size.height() / 2, 1.0, std::max(1.0, height() - size.height() - 1));
  const QRectF rect(QPointF(x, y), size);
  painter.setPen(QPen(theme().accent, 1.2));
  painter.setBrush(theme().panel);
  painter.drawRoundedRect(rect, kRadius, kRadius);
  for (qsizetype i = 0; i < m_bubble.size(); ++i) {
    painter.setFont(i == 0 ? bold : small);
    painter.setPen(i == 0 ? theme().text : theme().good);
    painter.drawText(QRectF(rect.left() + 12, rect.top() + 6 + double(i) * line, width + 2, line),
                     Qt::AlignLeft | Qt::AlignVCenter, m_bubble[i]);
  }
}

// --- mouse -----------------------------------------------------------------------------------

void FaderBank::mousePressEvent(QMouseEvent* event) {
  const int column = LoomColumns(*this, m_grid).columnAt(event->position().x());
  if (column < 0 || m_bars[size_t(column)].bits <= 0) {
    if (event->button() == Qt::LeftButton) m_selection.clear();
    return;
  }
  const std::vector<size_t> tensors = m_grid.column(column);
  const bool selected = m_selection.containsAll(tensors);
  if (event->button() == Qt::RightButton) {
    if (!selected) m_selection.select(tensors);
    return;
  }
  if (event->button() != Qt::LeftButton) return;
  setCurrent(column);
  const bool paint = event->modifiers() & Qt::ShiftModifier;
  m_moving = {column};
  if (selected && !paint) {  // all selected columns move together
    for (int c = 0; c < m_grid.columns(); ++c) {
      if (c != column && m_selection.containsAll(m_grid.column(c))) m_moving.push_back(c);
    }
  } else if (!paint) {
    m_selection.select(tensors, LoomSelection::modeFor(event->modifiers()));
  }
  m_pressed = event->position();
  m_dragColumn = column;
}

void FaderBank::mouseMoveEvent(QMouseEvent* event) {
  if (!m_pressed) return;
  const QPointF delta = event->position() - *m_pressed;
  if (m_levels.empty() && delta.manhattanLength() < 4) return;
  dragTo(event->position(), event->modifiers() & Qt::ShiftModifier);
}

void FaderBank::dragTo(const QPointF& point, bool paint) {
  const Codec* rung = rungAt(point.y());
  if (!rung) return;
  FaderLevels next = m_levels;
  if (paint) {
    const int column = LoomColumns(*this, m_grid).columnAt(point.x());
    if (column >= 0 && m_bars[size_t(column)].bits > 0) {
      m_dragColumn = column;
      next[column] = rung;
    }
  } else {
    for (const int column : m_moving) next[column] = rung;
  }
  if (next.empty() || next == m_levels) return;
  m_levels = next;
  emit dragged(next);
}

void FaderBank::mouseReleaseEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton || !m_pressed) return;
  m_pressed.reset();
  const FaderLevels levels = std::exchange(m_levels, {});
  setBubble({});
  if (levels.empty()) {
    // A plain click on one of several selected columns narrows the selection to it.
    if (event->modifiers() == Qt::NoModifier) m_selection.select(m_grid.column(m_dragColumn));
    return;
  }
  emit dropped(levels);
}

void FaderBank::mouseDoubleClickEvent(QMouseEvent* event) {
  const int column = LoomColumns(*this, m_grid).columnAt(event->position().x());
  m_pressed.reset();
  if (event->button() != Qt::LeftButton || column < 0) return;
  if (m_bars[size_t(column)].bits > 0) emit pinToggled(column);
}

// --- keys ------------------------------------------------------------------------------------

void FaderBank::keyPressEvent(QKeyEvent* event) {
  if (event->key() == Qt::Key_Escape && isDragging()) {
    m_levels.clear();
    m_pressed.reset();
    setBubble({});
    emit dragCancelled();
    return;
  }
  const int step = event->key() == Qt::Key_Left ? -1 : event->key() == Qt::Key_Right ? 1 : 0;
  if (step == 0) return QWidget::keyPressEvent(event);
  int column = m_current + step;
  if (column < 0 || column >= m_grid.columns() || m_bars[size_t(column)].bits <= 0) return;
  setCurrent(column);
  const bool extend = event->modifiers() & Qt::ShiftModifier;
  m_selection.select(m_grid.column(column),
                     extend ? LoomSelection::Mode::Add : LoomSelection::Mode::Replace);
}

void FaderBank::setCurrent(int column) {
  m_current = column;
  announceValue(*this);
  update();
}

void FaderBank::focusInEvent(QFocusEvent* event) {
  QWidget::focusInEvent(event);
  announceValue(*this);
  update();
}

void FaderBank::focusOutEvent(QFocusEvent* event) {
  QWidget::focusOutEvent(event);
  update();
}

bool FaderBank::event(QEvent* event) {
  if (event->type() != QEvent::ToolTip) return QWidget::event(event);
  auto* help = static_cast<QHelpEvent*>(event);
  const int column = LoomColumns(*this, m_grid).columnAt(help->pos().x());
  if (column >= 0 && m_bars[size_t(column)].bits > 0) {
    QToolTip::showText(help->globalPos(),
                       tr("%1: %2 in the mean")
                           .arg(columnName(m_grid, column), formatBpw(m_bars[size_t(column)].bits)),
                       this);
  } else {
    QToolTip::hideText();
  }
  return true;
}

QString FaderBank::spokenName() const { return tr("Bits per weight of each block"); }

QString FaderBank::spokenValue() const {
  if (m_current < 0 || size_t(m_current) >= m_bars.size()) return {};
  const FaderBar& bar = m_bars[size_t(m_current)];
  const QString text = tr("%1, %2").arg(columnName(m_grid, m_current), formatBpw(bar.bits));
  return bar.pinned ? tr("%1, pinned").arg(text) : text;
}

}  // namespace bitloom

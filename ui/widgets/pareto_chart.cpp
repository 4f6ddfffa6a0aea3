// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/pareto_chart.h"

#include <QApplication>
#include <QClipboard>
#include <QEvent>
#include <QGraphicsLayout>
#include <QKeyEvent>
#include <QMimeData>
#include <QtCharts/QChart>
#include <QtCharts/QLineSeries>
#include <QtCharts/QLogValueAxis>
#include <QtCharts/QScatterSeries>
#include <algorithm>
#include <cmath>

#include "ui/format.h"
#include "ui/theme.h"
#include "ui/widgets/loom_columns.h"

namespace bitloom {

ParetoChart::ParetoChart(QWidget* parent)
    : QChartView(new QChart, parent),
      m_curve(new QLineSeries(this)),
      m_uniform(new QScatterSeries(this)),
      m_saved(new QScatterSeries(this)),
      m_dot(new QScatterSeries(this)),
      m_sizes(new QLogValueAxis(this)),
      m_damages(new QLogValueAxis(this)) {
  setObjectName("paretoChart");
  setFocusPolicy(Qt::StrongFocus);
  setAccessibleName(tr("Size and damage of plans"));
  setRenderHint(QPainter::Antialiasing);
  setFrameShape(QFrame::NoFrame);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
  chart()->legend()->hide();
  chart()->setMargins({0, 0, 0, 0});
  chart()->setBackgroundRoundness(0);
  chart()->layout()->setContentsMargins(0, 0, 0, 0);
  chart()->addAxis(m_sizes, Qt::AlignBottom);
  chart()->addAxis(m_damages, Qt::AlignLeft);
  m_damages->setBase(10);
  m_damages->setLabelFormat("%.0e");
  m_sizes->setBase(2);
  for (QXYSeries* series : {static_cast<QXYSeries*>(m_curve), static_cast<QXYSeries*>(m_uniform),
                            static_cast<QXYSeries*>(m_saved), static_cast<QXYSeries*>(m_dot)}) {
    chart()->addSeries(series);
    series->attachAxis(m_sizes);
    series->attachAxis(m_damages);
  }
  m_uniform->setMarkerSize(9);
  m_saved->setMarkerShape(QScatterSeries::MarkerShapeRotatedRectangle);
  m_saved->setMarkerSize(10);
  m_dot->setMarkerSize(12);
  restyle();
  rescale();
}

void ParetoChart::setPoints(const ParetoPoints& points) {
  m_points = points;
  rescale();
}

void ParetoChart::setPlan(const ParetoPoint& plan) {
  m_plan = plan;
  rescale();
}

void ParetoChart::restyle() {
  const Theme& colors = theme();
  chart()->setBackgroundBrush(colors.panel);
  chart()->setBackgroundPen(Qt::NoPen);
  chart()->setPlotAreaBackgroundVisible(false);
  setBackgroundBrush(colors.panel);
  for (QAbstractAxis* axis :
       {static_cast<QAbstractAxis*>(m_sizes), static_cast<QAbstractAxis*>(m_damages)}) {
    axis->setLabelsColor(colors.faint);
    axis->setLabelsFont(smallFont(*this));
    axis->setLinePen(QPen(colors.border, 1));
    axis->setGridLineVisible(false);
  }
  m_curve->setPen(QPen(colors.accent, 2));
  m_uniform->setColor(colors.panel);
  m_uniform->setBorderColor(colors.faint);
  m_saved->setColor(colors.panel);
  m_saved->setBorderColor(colors.good);
  m_dot->setColor(colors.accent);
  m_dot->setBorderColor(colors.panel);
}

void ParetoChart::rescale() {
  double low = 1e300, high = 0, least = 1e300, most = 0;
  const auto cover = [&](double bytes, double damage) {
    if (!std::isfinite(damage) || damage <= 0 || bytes <= 0) return;
    low = std::min(low, bytes);
    high = std::max(high, bytes);
    least = std::min(least, damage);
    most = std::max(most, damage);
  };
  for (const ParetoPoint& point : m_points.curve) cover(double(point.fileBytes), point.damage);
  for (const DamageAnchor& anchor : m_points.uniform) cover(double(anchor.fileBytes), anchor.value);
  for (const DamageAnchor& anchor : m_points.saved) cover(double(anchor.fileBytes), anchor.value);
  cover(double(m_plan.fileBytes), m_plan.damage);
  const bool any = high > 0;
  m_unit = any && high < 1e9 ? 1e6 : 1e9;
  // What is nearly lossless would stretch the axis over decades in which nothing happens.
  least = any ? std::max(least, most * 1e-5) : 1e-4;
  if (!any) most = 1, low = 1e8, high = 1e9;
  if (high - low < high * 0.2) {  // a plan alone still gets a scale that can be read
    low *= 0.6;
    high *= 1.4;
    least /= 4;
    most *= 4;
  }
  m_sizes->setRange(low / 1.05 / m_unit, high * 1.05 / m_unit);
  m_sizes->setLabelFormat(m_unit == 1e9 ? tr("%g GB") : tr("%g MB"));
  m_damages->setBase(most > least * 1e3 ? 100 : 10);
  m_damages->setRange(least / 1.5, most * 1.6);
  m_sizes->setVisible(any);
  m_damages->setVisible(any);
  const auto inside = [&](double damage) { return damage >= least; };

  QList<QPointF> curve, uniform, saved, dot;
  for (const ParetoPoint& point : m_points.curve) {
    if (inside(point.damage)) curve << QPointF(double(point.fileBytes) / m_unit, point.damage);
  }
  for (const DamageAnchor& a : m_points.uniform) {
    if (inside(a.value)) uniform << QPointF(double(a.fileBytes) / m_unit, a.value);
  }
  for (const DamageAnchor& a : m_points.saved) {
    if (inside(a.value)) saved << QPointF(double(a.fileBytes) / m_unit, a.value);
  }
  if (std::isfinite(m_plan.damage) && m_plan.damage > 0 && inside(m_plan.damage)) {
    dot << QPointF(double(m_plan.fileBytes) / m_unit, m_plan.damage);
  }
  m_curve->replace(curve);
  m_uniform->replace(uniform);
  m_saved->replace(saved);
  m_dot->replace(dot);
  viewport()->update();
}

QPointF ParetoChart::place(double bytes, double damage) const {
  return chart()->mapToPosition({bytes / m_unit, damage}, m_curve);
}

void ParetoChart::drawNames(QPainter& painter, const std::vector<DamageAnchor>& anchors) const {
  const QFontMetricsF metrics(painter.font());
  const QRectF plot = chart()->plotArea();
  std::vector<QRectF> taken;
  for (const QPointF& point : m_dot->points()) {
    const QPointF at = place(point.x() * m_unit, point.y());
    taken.push_back(QRectF(at.x() - 8, at.y() - 8, 16, 16));
    const double width = metrics.horizontalAdvance(tr("this plan"));
    taken.push_back(QRectF(at.x() + 9, at.y() - metrics.height(), width, metrics.height()));
  }
  // What is lossless has no place on a logarithmic axis.
  std::vector<DamageAnchor> ordered = anchors;
  std::erase_if(ordered, [](const DamageAnchor& anchor) { return !(anchor.value > 0); });
  for (const DamageAnchor& anchor : ordered) {
    const QPointF at = place(double(anchor.fileBytes), anchor.value);
    taken.push_back(QRectF(at.x() - 4, at.y() - 4, 8, 8));
  }
  // What everybody knows is named first; where names would overlap, the later ones are left out.
  const auto known = [](const DamageAnchor& a) {
    return a.codec == "tq3_1s" || a.codec == "q4_0" || a.codec == "q8_0";
  };
  std::stable_partition(ordered.begin(), ordered.end(), known);
  for (const DamageAnchor& anchor : ordered) {
    const QPointF at = place(double(anchor.fileBytes), anchor.value);
    if (!plot.adjusted(-1, -1, 1, 1).contains(at)) continue;
    const QSizeF size(metrics.horizontalAdvance(anchor.title) + 2, metrics.height());
    const double left = at.x() - 6 - size.width(), right = at.x() + 6;
    const double above = at.y() - size.height(), below = at.y() + 1;
    for (const QPointF& corner : {QPointF(right, above), QPointF(right, below),
                                  QPointF(left, below), QPointF(left, above)}) {
      const QRectF rect(corner, size);
      const auto hits = [&](const QRectF& other) { return other.intersects(rect); };
      if (!QRectF(plot.left(), 0, viewport()->width() - plot.left(), plot.bottom())
               .contains(rect) ||
          std::any_of(taken.begin(), taken.end(), hits)) {
        continue;
      }
      taken.push_back(rect);
      painter.drawText(rect, Qt::AlignLeft | Qt::AlignVCenter, anchor.title);
      break;
    }
  }
}

void ParetoChart::drawForeground(QPainter* painter, const QRectF&) {
  painter->save();
  painter->resetTransform();
  painter->setFont(smallFont(*this));
  const Theme& colors = theme();
  const QRectF plot = chart()->plotArea();
  const bool empty = m_curve->count() + m_uniform->count() + m_dot->count() == 0;
  painter->setPen(colors.faint);
  if (empty) {
    painter->drawText(plot, Qt::AlignCenter | Qt::TextWordWrap,
                      tr("A scan draws the curve of the best plans."));
    painter->restore();
    return;
  }
  drawNames(*painter, m_points.uniform);
  painter->setPen(colors.good);
  drawNames(*painter, m_points.saved);
  if (m_dot->count() > 0) {
    const QPointF at = place(double(m_plan.fileBytes), m_plan.damage);
    const QFontMetricsF metrics(painter->font());
    painter->setPen(colors.accent);
    painter->drawText(QPointF(at.x() + 9, at.y() - metrics.descent()), tr("this plan"));
  }
  if (m_dot->count() > 0 && m_plan.error > 0 && std::isfinite(m_plan.error)) {
    const double bytes = double(m_plan.fileBytes);
    const double low = std::max(m_plan.damage - m_plan.error, m_damages->min());
    painter->setPen(QPen(colors.accent, 2));
    painter->drawLine(place(bytes, low), place(bytes, m_plan.damage + m_plan.error));
  }
  painter->restore();
}

void ParetoChart::changeEvent(QEvent* event) {
  QChartView::changeEvent(event);
  const auto type = event->type();
  if (type == QEvent::PaletteChange || type == QEvent::StyleChange || type == QEvent::FontChange) {
    restyle();
  }
}

QString ParetoChart::csv() const {
  QString text = "kind,title,bytes,kld,error\n";
  const auto line = [&](const char* kind, const QString& title, uint64_t bytes, double damage,
                        double error) {
    text += QString("%1,\"%2\",%3,%4,%5\n")
                .arg(kind, QString(title).replace('"', "\"\""))
                .arg(bytes)
                .arg(damage, 0, 'g', 9)
                .arg(error, 0, 'g', 9);
  };
  for (const ParetoPoint& p : m_points.curve) line("solved", {}, p.fileBytes, p.damage, p.error);
  for (const DamageAnchor& a : m_points.uniform) {
    line("uniform", a.title, a.fileBytes, a.value, a.error);
  }
  for (const DamageAnchor& a : m_points.saved)
    line("saved", a.title, a.fileBytes, a.value, a.error);
  line("plan", {}, m_plan.fileBytes, m_plan.damage, m_plan.error);
  return text;
}

void ParetoChart::keyPressEvent(QKeyEvent* event) {
  if (!event->matches(QKeySequence::Copy)) return QChartView::keyPressEvent(event);
  auto* mime = new QMimeData;
  mime->setImageData(grab().toImage());
  mime->setText(csv());
  QApplication::clipboard()->setMimeData(mime);
}

}  // namespace bitloom

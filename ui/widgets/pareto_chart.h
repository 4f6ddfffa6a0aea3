// SPDX-License-Identifier: GPL-3.0-or-later
// Size × ΔKLD: the curve of solved plans, uniform codecs as circles, saved plans as diamonds, this
// plan as a dot with its error. Both axes are logarithmic. Ctrl+C copies picture and CSV.
#pragma once
#include <QtCharts/QChartView>

#include "ui/models/pareto_points.h"

class QLineSeries;
class QLogValueAxis;
class QScatterSeries;

namespace bitloom {

class ParetoChart : public QChartView {
  Q_OBJECT

 public:
  explicit ParetoChart(QWidget* parent = nullptr);

  void setPoints(const ParetoPoints& points);
  // A damage that is not finite or not positive hides the dot.
  void setPlan(const ParetoPoint& plan);
  const ParetoPoints& points() const { return m_points; }
  QString csv() const;

  QSize sizeHint() const override { return {260, 190}; }
  QSize minimumSizeHint() const override { return {200, 110}; }

 protected:
  void drawForeground(QPainter* painter, const QRectF& rect) override;
  void changeEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  void restyle();
  void rescale();
  double unit() const { return m_unit; }  // bytes of one unit of the size axis
  QPointF place(double bytes, double damage) const;
  void drawNames(QPainter& painter, const std::vector<DamageAnchor>& anchors) const;

  ParetoPoints m_points;
  ParetoPoint m_plan;
  double m_unit = 1e9;
  QLineSeries* m_curve;
  QScatterSeries* m_uniform;
  QScatterSeries* m_saved;
  QScatterSeries* m_dot;
  QLogValueAxis* m_sizes;
  QLogValueAxis* m_damages;
};

}  // namespace bitloom

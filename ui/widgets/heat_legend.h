// SPDX-License-Identifier: GPL-3.0-or-later
// What the heatmap's colours mean: measured or proxy, the ramp, its ends and the unit.
#pragma once
#include <QString>
#include <QWidget>
#include <optional>
#include <utility>

namespace bitloom {

class HeatLegend : public QWidget {
  Q_OBJECT

 public:
  explicit HeatLegend(QWidget* parent = nullptr);
  void setMeaning(bool measured, const QString& unit);
  // `clipped`: values beyond the ends share the ends' colours.
  void setRange(const std::optional<std::pair<double, double>>& range, bool clipped);
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override { return {170, sizeHint().height()}; }

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  bool m_measured = false;
  QString m_unit;
  bool m_clipped = false;
  std::optional<std::pair<double, double>> m_range;
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// A small window that holds two metrics against each other: one dot for each tensor at each codec
// that both know, logarithmic axes, and the rank correlation, so that a proxy can be judged on this
// model. Hovering a dot names it.
#pragma once
#include <QDialog>

#include "ui/models/metric_pairs.h"

class QChartView;
class QComboBox;
class QLabel;
class QLogValueAxis;
class QScatterSeries;

namespace bitloom {

class Document;

class MetricScatter : public QDialog {
  Q_OBJECT

 public:
  // Starts with the measured metric against `metric`, or the best proxy that has cells.
  MetricScatter(Document& document, const std::string& metric, QWidget* parent = nullptr);

  // Metrics of the document that have cells; two are needed for a picture.
  static std::vector<std::string> known(const Document& document);

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void fill(QComboBox* combo, const std::string& chosen);
  void show();
  void restyle();
  void name(const QPointF& point, bool entered);

  Document& m_document;
  MetricPairs m_shown;
  QComboBox* m_x;
  QComboBox* m_y;
  QLabel* m_verdict;
  QChartView* m_view;
  QScatterSeries* m_dots;
  QLogValueAxis* m_across;
  QLogValueAxis* m_up;
};

}  // namespace bitloom

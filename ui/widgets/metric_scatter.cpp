// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/metric_scatter.h"

#include <QComboBox>
#include <QEvent>
#include <QGraphicsLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QToolTip>
#include <QVBoxLayout>
#include <QtCharts/QChart>
#include <QtCharts/QChartView>
#include <QtCharts/QLogValueAxis>
#include <QtCharts/QScatterSeries>
#include <algorithm>
#include <cmath>

#include "core/metric.h"
#include "ui/document.h"
#include "ui/format.h"
#include "ui/theme.h"
#include "ui/widgets/card.h"
#include "ui/widgets/loom_columns.h"

namespace bitloom {
namespace {

constexpr const char* kMeasured = "kld";

QString fromView(std::string_view text) {
  return QString::fromUtf8(text.data(), qsizetype(text.size()));
}

void scale(QLogValueAxis& axis, const std::vector<MetricPair>& pairs, double MetricPair::*value) {
  double low = 1e300, high = 0;
  for (const MetricPair& pair : pairs) {
    if (!(pair.*value > 0)) continue;
    low = std::min(low, pair.*value);
    high = std::max(high, pair.*value);
  }
  if (high == 0) low = 0.1, high = 1;
  axis.setBase(high > low * 1e5 ? 100 : 10);
  axis.setRange(low / 1.5, high * 1.5);
}

}  // namespace

MetricScatter::MetricScatter(Document& document, const std::string& metric, QWidget* parent)
    : QDialog(parent),
      m_document(document),
      m_x(new QComboBox(this)),
      m_y(new QComboBox(this)),
      m_verdict(makeLabel({}, "", this)),
      m_view(new QChartView(new QChart, this)),
      m_dots(new QScatterSeries(this)),
      m_across(new QLogValueAxis(this)),
      m_up(new QLogValueAxis(this)) {
  setWindowTitle(tr("Compare metrics"));
  setObjectName("metricScatter");
  setProperty("surface", "panel");
  m_x->setObjectName("acrossCombo");
  m_x->setAccessibleName(tr("Metric across"));
  m_y->setObjectName("upCombo");
  m_y->setAccessibleName(tr("Metric up"));
  m_verdict->setObjectName("verdictLabel");
  m_verdict->setWordWrap(true);
  m_verdict->setTextFormat(Qt::RichText);
  m_view->setRenderHint(QPainter::Antialiasing);
  m_view->setFrameShape(QFrame::NoFrame);
  m_view->setAccessibleName(tr("Cells of two metrics"));
  QChart* chart = m_view->chart();
  chart->legend()->hide();
  chart->setMargins({0, 0, 0, 0});
  chart->setBackgroundRoundness(0);
  chart->layout()->setContentsMargins(0, 0, 0, 0);
  chart->addAxis(m_across, Qt::AlignBottom);
  chart->addAxis(m_up, Qt::AlignLeft);
  chart->addSeries(m_dots);
  for (QLogValueAxis* axis : {m_across, m_up}) {
    axis->setLabelFormat("%.0e");
    m_dots->attachAxis(axis);
  }
  m_dots->setMarkerSize(7);

  auto* row = new QHBoxLayout;
  row->addWidget(m_y);
  row->addWidget(makeLabel(tr("against"), "faint", this));
  row->addWidget(m_x);
  row->addStretch(1);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(20, 20, 20, 20);
  layout->setSpacing(12);
  layout->addLayout(row);
  layout->addWidget(m_view, 1);
  layout->addWidget(m_verdict);
  resize(640, 600);

  const std::vector<std::string> metrics = known(document);
  std::string other = metric;
  if (other == kMeasured && metrics.size() > 1) other = metrics[metrics[0] == kMeasured ? 1 : 0];
  fill(m_x, kMeasured);
  fill(m_y, other);
  for (QComboBox* combo : {m_x, m_y}) {
    connect(combo, &QComboBox::currentIndexChanged, this, &MetricScatter::show);
  }
  connect(m_dots, &QScatterSeries::hovered, this, &MetricScatter::name);
  connect(&document, &Document::sensitivityChanged, this, &MetricScatter::show);
  connect(&document, &Document::modelChanged, this, &QDialog::close);
  restyle();
  show();
}

std::vector<std::string> MetricScatter::known(const Document& document) {
  std::vector<std::string> names;
  for (const Metric* metric : metricsByWorth()) {
    const std::string name(metric->name);
    if (!document.sensitivity(name).cells.empty()) names.push_back(name);
  }
  return names;
}

void MetricScatter::fill(QComboBox* combo, const std::string& chosen) {
  for (const std::string& name : known(m_document)) {
    combo->addItem(fromView(findMetric(name)->title), QString::fromStdString(name));
  }
  combo->setCurrentIndex(std::max(0, combo->findData(QString::fromStdString(chosen))));
}

void MetricScatter::show() {
  const auto cells = [this](const QComboBox* combo) -> const Sensitivity& {
    return m_document.sensitivity(combo->currentData().toString().toStdString());
  };
  m_shown = pairMetrics(cells(m_x), cells(m_y));
  scale(*m_across, m_shown.pairs, &MetricPair::x);
  scale(*m_up, m_shown.pairs, &MetricPair::y);
  QList<QPointF> dots;
  for (const MetricPair& pair : m_shown.pairs) {
    if (pair.x > 0 && pair.y > 0) dots << QPointF(pair.x, pair.y);
  }
  m_dots->replace(dots);
  if (!std::isfinite(m_shown.rankCorrelation)) {
    m_verdict->setText(tr("The two have no cells in common: scan both at one codec."));
    return;
  }
  QString text = tr("Rank correlation <b>%1</b> over %n cell(s) that both know.", nullptr,
                    int(m_shown.pairs.size()))
                     .arg(m_shown.rankCorrelation, 0, 'f', 3);
  if (const auto hidden = qsizetype(m_shown.pairs.size()) - dots.size(); hidden > 0) {
    text += QLatin1Char(' ') +
            tr("%n of them are not above 0 and have no place on these axes.", nullptr, int(hidden));
  }
  m_verdict->setText(text);
}

void MetricScatter::name(const QPointF& point, bool entered) {
  if (!entered) return QToolTip::hideText();
  for (const MetricPair& pair : m_shown.pairs) {
    if (pair.x != point.x() || pair.y != point.y()) continue;
    const Codec* codec = findCodec(pair.codec);
    QToolTip::showText(
        QCursor::pos(),
        tr("%1 at %2\n%3: %4\n%5: %6")
            .arg(QString::fromStdString(pair.tensor),
                 codec ? fromView(codec->title) : QString::fromStdString(pair.codec),
                 m_y->currentText(), formatKld(pair.y), m_x->currentText(), formatKld(pair.x)),
        m_view);
    return;
  }
}

void MetricScatter::restyle() {
  const Theme& colors = theme();
  QChart* chart = m_view->chart();
  chart->setBackgroundBrush(colors.panel);
  chart->setBackgroundPen(Qt::NoPen);
  m_view->setBackgroundBrush(colors.panel);
  for (QLogValueAxis* axis : {m_across, m_up}) {
    axis->setLabelsColor(colors.faint);
    axis->setLabelsFont(smallFont(*this));
    axis->setLinePen(QPen(colors.border, 1));
    axis->setGridLinePen(QPen(colors.border, 1));
  }
  QColor dot = colors.accent;
  dot.setAlphaF(0.55f);
  m_dots->setColor(dot);
  m_dots->setBorderColor(Qt::transparent);
}

void MetricScatter::changeEvent(QEvent* event) {
  QDialog::changeEvent(event);
  if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) restyle();
}

}  // namespace bitloom

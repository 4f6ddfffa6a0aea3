// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/metric_scatter.h"

#include <QComboBox>
#include <QLabel>
#include <QPushButton>
#include <QtCharts/QChart>
#include <QtCharts/QChartView>
#include <QtCharts/QScatterSeries>

#include "core/statistics.h"
#include "tests/support/tiny_model.h"
#include "tests/ui/studio.h"
#include "ui/widgets/scan_bar.h"

namespace bitloom {
namespace {

using namespace test;

TEST(MetricPairs, HoldCellsThatBothKnow) {
  const auto cell = [](const char* tensor, const char* codec, double value) {
    return Cell{.tensor = tensor, .codec = codec, .metric = "m", .value = value, .samples = {}};
  };
  Sensitivity x, y;
  x.cells = {cell("a", "q4_0", 1), cell("b", "q4_0", 2), cell("c", "q4_0", 3),
             cell("a", "q8_0", 4)};
  y.cells = {cell("c", "q4_0", 30), cell("b", "q4_0", 40), cell("a", "q4_0", 10),
             cell("a", "q5_0", 5)};
  const MetricPairs pairs = pairMetrics(x, y);
  ASSERT_EQ(pairs.pairs.size(), 3u);
  EXPECT_EQ(pairs.pairs[1].tensor, "b");
  EXPECT_EQ(pairs.pairs[1].y, 40);
  EXPECT_DOUBLE_EQ(pairs.rankCorrelation, 0.5);
}

TEST(MetricScatter, OpensFromTheScanBarAndTellsTheRankCorrelation) {
  Studio studio;
  const auto tiny = writeTinyModel(studio.folder / "tiny.gguf", {.halfFloats = true});
  ASSERT_TRUE(studio.open(QString::fromStdString(tiny.string())));
  ASSERT_TRUE(studio.waitForIdle());
  QWidget window;
  ScanBar bar(*studio.document, &window);
  window.show();
  auto* compare = bar.findChild<QPushButton*>("compareMetricsButton");
  EXPECT_FALSE(compare->isVisible());
  for (const char* metric : {"kld", "weight_error"}) {
    studio.document->startScan(metric, {"tq3_1s", "q8_0"});
    ASSERT_TRUE(studio.waitForIdle());
  }
  ASSERT_TRUE(compare->isVisible());
  QTest::mouseClick(compare, Qt::LeftButton);
  auto* scatter = window.findChild<MetricScatter*>("metricScatter");
  ASSERT_NE(scatter, nullptr);
  EXPECT_TRUE(scatter->isVisible());
  const MetricPairs pairs = pairMetrics(studio.document->sensitivity("kld"),
                                        studio.document->sensitivity("weight_error"));
  ASSERT_GT(pairs.pairs.size(), 10u);
  const QString verdict = scatter->findChild<QLabel*>("verdictLabel")->text();
  EXPECT_TRUE(verdict.contains(QString::number(pairs.rankCorrelation, 'f', 3)))
      << verdict.toStdString();
  const auto series = scatter->findChild<QChartView*>()->chart()->series();
  EXPECT_EQ(size_t(static_cast<QScatterSeries*>(series[0])->count()), pairs.pairs.size());
  // A metric against itself is in perfect order.
  scatter->findChild<QComboBox*>("upCombo")->setCurrentIndex(
      scatter->findChild<QComboBox*>("acrossCombo")->currentIndex());
  EXPECT_TRUE(scatter->findChild<QLabel*>("verdictLabel")->text().contains("1.000"));
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The Loom's top row: which metric colours the heatmap, at which codec, on which text, and the scan
// that fills it, with what it costs said before it is paid.
#pragma once
#include <QWidget>
#include <string>
#include <vector>

class QComboBox;
class QLabel;
class QPushButton;

namespace bitloom {

struct Codec;
class Document;
class HeatLegend;
struct Metric;

class ScanBar : public QWidget {
  Q_OBJECT

 public:
  explicit ScanBar(Document& document, QWidget* parent = nullptr);

  const Metric* metric() const;  // null when there is none
  const Codec* codec() const;    // null before a model is open
  HeatLegend& legend() { return *m_legend; }

  // One sentence for the line under the heatmap; empty when the scan is complete.
  QString costText() const;
  QString cheaperText() const;  // of the button beside it; empty: nothing is cheaper
  void startCheaper();

 signals:
  void choiceChanged();
  void costChanged();

 private:
  void build();
  void showModel();
  void showTexts();
  void chooseText(int index);
  void openText();
  void showScan();
  void toggleScan();
  void compareMetrics();
  void start(const std::vector<std::string>& codecs);
  std::vector<std::string> allCodecs() const;
  size_t missing(const std::vector<std::string>& codecs) const;
  QString duration(size_t cells) const;
  void learnPace();

  Document& m_document;
  QComboBox* m_metric = nullptr;
  QComboBox* m_codec = nullptr;
  QComboBox* m_text = nullptr;
  QPushButton* m_scan = nullptr;
  QPushButton* m_stop = nullptr;
  QPushButton* m_compare = nullptr;
  HeatLegend* m_legend = nullptr;
  double m_secondsPerCell = 0;  // 0: not known yet
  std::string m_paceMetric;
  size_t m_missing = 0;  // cells at all codecs, and at the chosen one
  size_t m_cheaper = 0;
};

}  // namespace bitloom

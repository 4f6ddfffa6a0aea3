// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/scan_bar.h"

#include <QComboBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QSignalBlocker>
#include <QStandardItemModel>
#include <QVBoxLayout>
#include <unordered_set>

#include "core/metric.h"
#include "ui/document.h"
#include "ui/format.h"
#include "ui/settings.h"
#include "ui/widgets/card.h"
#include "ui/widgets/heat_legend.h"
#include "ui/widgets/metric_scatter.h"

namespace bitloom {
namespace {

constexpr const char* kUsualCodec = "tq3_1s";
constexpr const char* kUsualMetric = "kld";
constexpr const char* kTextsKey = "texts";
constexpr qsizetype kTextsKept = 6;
constexpr uint64_t kPaceCells = 3;  // measured cells after which a pace means something

QString text(std::string_view view) {
  return QString::fromUtf8(view.data(), qsizetype(view.size()));
}

// `beside`: at the end of the title's line; may be null.
QVBoxLayout* labelled(const QString& title, QWidget* control, QWidget* beside = nullptr) {
  auto* column = new QVBoxLayout;
  column->setSpacing(2);
  auto* label = makeLabel(title, "faint");
  label->setBuddy(control);
  control->setProperty("accessibleName", title);
  auto* head = new QHBoxLayout;
  head->addWidget(label);
  head->addStretch(1);
  if (beside) head->addWidget(beside);
  column->addLayout(head);
  column->addWidget(control);
  return column;
}

QString tooltipOf(const Metric& metric) {
  const QString summary = text(metric.summary);
  if (metric.measured) return summary;
  //: %1 is a metric's description, %2 a number between −1 and 1.
  return ScanBar::tr("%1\n\nRank correlation with measured divergence: %2 (SmolLM2-135M).")
      .arg(summary)
      .arg(metric.worth, 0, 'f', 2);
}

}  // namespace

ScanBar::ScanBar(Document& document, QWidget* parent) : QWidget(parent), m_document(document) {
  setObjectName("scanBar");
  build();
  connect(&m_document, &Document::modelChanged, this, &ScanBar::showModel);
  connect(&m_document, &Document::scanChanged, this, &ScanBar::showScan);
  connect(&m_document, &Document::damageChanged, this, &ScanBar::costChanged);
  connect(&m_document, &Document::sensitivityChanged, this, [this] {
    showTexts();
    showScan();
  });
  connect(&m_document, &Document::textChanged, this, [this] {
    m_secondsPerCell = 0;
    if (const QString file = m_document.textFile(); !file.isEmpty()) {
      Settings settings;
      QStringList files = settings.value(kTextsKey).toStringList();
      files.removeAll(file);
      files.prepend(file);
      settings.setValue(kTextsKey, files.mid(0, kTextsKept));
    }
    showTexts();
  });
  connect(&m_document.devices(), &Devices::chosenChanged, this, [this] {
    m_secondsPerCell = 0;
    showScan();
  });
  connect(&m_document.jobs(), &JobList::changed, this, [this] {
    if (!m_document.isScanning()) return;
    learnPace();
    showScan();
  });
  showModel();
}

void ScanBar::build() {
  m_metric = new QComboBox(this);
  m_metric->setObjectName("metricCombo");
  for (const Metric* metric : metricsByWorth()) {
    const QString kind = metric->measured ? tr("measured") : tr("proxy");
    QString title = text(metric->title);
    if (!title.contains(kind)) title = tr("%1 (%2)").arg(title, kind);
    m_metric->addItem(title, text(metric->name));
    m_metric->setItemData(m_metric->count() - 1, tooltipOf(*metric), Qt::ToolTipRole);
  }
  m_metric->setMaximumWidth(fontMetrics().averageCharWidth() * 34);
  m_codec = new QComboBox(this);
  m_codec->setObjectName("codecCombo");
  m_text = new QComboBox(this);
  m_text->setObjectName("textCombo");
  m_text->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  m_text->setMaximumWidth(fontMetrics().averageCharWidth() * 20);
  m_scan = makeButton(tr("Scan"), "scanButton", Rank::Primary, this);
  m_stop = makeButton(tr("Stop"), "stopScanButton", Rank::Link, this);
  m_stop->setToolTip(tr("What is measured is kept; Scan goes on from there."));
  m_compare = makeButton(tr("Compare…"), "compareMetricsButton", Rank::Link, this);
  m_legend = new HeatLegend(this);
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(12);
  row->addLayout(labelled(tr("Colour"), m_metric, m_compare));
  row->addLayout(labelled(tr("at codec"), m_codec));
  row->addLayout(labelled(tr("on text"), m_text));
  row->addWidget(m_scan, 0, Qt::AlignBottom);
  row->addWidget(m_stop, 0, Qt::AlignBottom);
  row->addWidget(m_legend, 1, Qt::AlignBottom);
  connect(m_metric, &QComboBox::currentIndexChanged, this, [this] {
    showTexts();
    showScan();
    emit choiceChanged();
  });
  connect(m_codec, &QComboBox::currentIndexChanged, this, [this] {
    showScan();
    emit choiceChanged();
  });
  connect(m_text, &QComboBox::activated, this, &ScanBar::chooseText);
  connect(m_scan, &QPushButton::clicked, this, &ScanBar::toggleScan);
  connect(m_stop, &QPushButton::clicked, &m_document, &Document::stopScan);
  connect(m_compare, &QPushButton::clicked, this, &ScanBar::compareMetrics);
}

void ScanBar::compareMetrics() {
  const Metric* item = metric();
  auto* scatter = new MetricScatter(m_document, item ? std::string(item->name) : "", window());
  scatter->setAttribute(Qt::WA_DeleteOnClose);
  scatter->setVisible(true);
}

const Metric* ScanBar::metric() const {
  return findMetric(m_metric->currentData().toString().toStdString());
}

const Codec* ScanBar::codec() const {
  return findCodec(m_codec->currentData().toString().toStdString());
}

void ScanBar::showModel() {
  m_secondsPerCell = 0;
  {
    const QSignalBlocker quietMetric(m_metric);
    const QSignalBlocker quietCodec(m_codec);
    m_codec->clear();
    for (const Codec* codec : m_document.choices()) {
      m_codec->addItem(text(codec->title), text(codec->name));
      m_codec->setItemData(m_codec->count() - 1,
                           tr("%1 bits: %2").arg(codec->bits).arg(text(codec->summary)),
                           Qt::ToolTipRole);
    }
    const int usual = m_codec->findData(QString(kUsualCodec));
    m_codec->setCurrentIndex(usual >= 0 ? usual : m_codec->count() / 2);
    QString chosen = kUsualMetric;
    for (const Metric* metric : metricsByWorth()) {
      if (m_document.sensitivity(std::string(metric->name)).cells.empty()) continue;
      chosen = text(metric->name);
      break;
    }
    m_metric->setCurrentIndex(std::max(0, m_metric->findData(chosen)));
  }
  showTexts();
  showScan();
  emit choiceChanged();
}

// The built-in text, the user's last ones, and a way to more. Each file is a stratum: code, chat in
// another language, whatever the model is for.
void ScanBar::showTexts() {
  const Metric* item = metric();
  m_text->clear();
  if (item && !item->needsText && !item->measured) {
    m_text->addItem(tr("no text needed"));
    m_text->setEnabled(false);
  } else {
    m_text->addItem(tr("built-in text"), QString());
    for (const QString& file : Settings().value(kTextsKey).toStringList()) {
      m_text->addItem(QFileInfo(file).fileName(), file);
      m_text->setItemData(m_text->count() - 1, file, Qt::ToolTipRole);
    }
    m_text->insertSeparator(m_text->count());
    m_text->addItem(tr("Choose a file…"));
    m_text->setCurrentIndex(std::max(0, m_text->findData(m_document.textFile())));
    m_text->setEnabled(m_document.isOpen());
  }
  m_text->setToolTip(
      tr("What scans and probes read. Damage depends on it: choose a text like those that the "
         "model is for. Each text has cells of its own."));
  if (item) {
    m_metric->setToolTip(tooltipOf(*item));
    m_legend->setMeaning(item->measured, text(item->unit));
  }
}

void ScanBar::chooseText(int index) {
  if (index == m_text->count() - 1) return openText();
  m_document.setTextFile(m_text->itemData(index).toString());
}

void ScanBar::openText() {
  showTexts();  // what is in use, while the dialog is open
  auto* dialog = new QFileDialog(window(), tr("Text to scan on"), {},
                                 tr("Texts (*.txt *.md *.raw);;All files (*)"));
  dialog->setObjectName("textDialog");
  dialog->setAttribute(Qt::WA_DeleteOnClose);
  dialog->setFileMode(QFileDialog::ExistingFile);
  connect(dialog, &QFileDialog::fileSelected, &m_document, &Document::setTextFile);
  dialog->open();
}

// --- scan ------------------------------------------------------------------------------------

std::vector<std::string> ScanBar::allCodecs() const {
  std::vector<std::string> names;
  if (!m_document.isOpen()) return names;
  const auto& ladder = m_document.ladder();
  for (const Codec* codec : m_document.choices()) {
    const bool shown = codec == this->codec();
    if (!shown && std::find(ladder.begin(), ladder.end(), codec) == ladder.end()) continue;
    // The source's own type loses nothing: it needs no cells.
    bool changes = false;
    for (const Tensor& tensor : m_document.model().tensors()) {
      changes = changes || (isQuantizable(tensor) && tensor.codec != codec);
    }
    if (changes) names.emplace_back(codec->name);
  }
  return names;
}

size_t ScanBar::missing(const std::vector<std::string>& names) const {
  const Metric* item = metric();
  if (!item || !m_document.isOpen()) return 0;
  std::vector<const Codec*> codecs;
  for (const std::string& name : names) codecs.push_back(findCodec(name));
  const Sensitivity& known = m_document.sensitivity(std::string(item->name));
  std::unordered_set<std::string> have;
  for (const Cell& cell : known.cells) have.insert(cell.tensor + '\n' + cell.codec);
  size_t count = 0;
  for (const CellKey& key : scanCells(m_document.model(), codecs)) {
    const Tensor& tensor = m_document.model().tensors()[key.tensor];
    if (tensor.codec == key.codec) continue;
    if (!have.count(tensor.name + '\n' + std::string(key.codec->name))) ++count;
  }
  return count;
}

void ScanBar::learnPace() {
  for (const JobList::Entry& entry : m_document.jobs().entries()) {
    if (entry.id != m_document.scanJob() || entry.progress.unit != "cells") continue;
    if (entry.progress.done < kPaceCells) continue;
    m_secondsPerCell = entry.progress.seconds / double(entry.progress.done);
    if (const Metric* item = metric()) m_paceMetric = item->name;
  }
}

QString ScanBar::duration(size_t cells) const {
  const Metric* item = metric();
  if (m_secondsPerCell > 0 && item && m_paceMetric == item->name) {
    return tr("about %1").arg(formatDuration(m_secondsPerCell * double(cells)));
  }
  // A measured cell is one answer of the live loop, or a part of it, on its own number of tokens.
  const Document::Damage& damage = m_document.damage();
  if (item && item->measured && damage.seconds > 0 && damage.tokens > 0) {
    const double tokens = double(item->probe.sequences) * item->probe.tokens;
    const double seconds = damage.seconds * tokens / double(damage.tokens);
    return tr("%1 at most").arg(formatDuration(seconds * double(cells)));
  }
  return tr("minutes shown after the first cells");
}

QString ScanBar::costText() const {
  if (!m_document.isOpen()) return tr("Open a model: drop a file anywhere.");
  if (!m_document.canInfer()) return m_document.inferenceProblem();
  const Metric* item = metric();
  if (m_document.isScanning()) {
    for (const JobList::Entry& entry : m_document.jobs().entries()) {
      if (entry.id != m_document.scanJob() || entry.progress.total == 0) continue;
      const uint64_t left = entry.progress.total - entry.progress.done;
      return tr("%1 of %2 cells · %3 left")
          .arg(formatGrouped(entry.progress.done), formatGrouped(entry.progress.total),
               m_secondsPerCell > 0 ? formatDuration(m_secondsPerCell * double(left)) : tr("…"));
    }
    return tr("preparing the scan");
  }
  if (m_missing == 0 || !item) return {};
  return tr("Scan: %1 cells (weights × %2 codecs), %3.")
      .arg(formatGrouped(m_missing))
      .arg(allCodecs().size())
      .arg(duration(m_missing));
}

QString ScanBar::cheaperText() const {
  const Codec* only = codec();
  if (!m_document.isOpen() || !m_document.canInfer() || m_document.isScanning() || !only) return {};
  if (m_cheaper == 0 || m_cheaper >= m_missing) return {};
  return tr("Cheaper: only %1, %2 cells").arg(text(only->title), formatGrouped(m_cheaper));
}

void ScanBar::startCheaper() {
  if (const Codec* only = codec()) start({std::string(only->name)});
}

void ScanBar::start(const std::vector<std::string>& codecs) {
  if (const Metric* item = metric()) m_document.startScan(std::string(item->name), codecs);
}

void ScanBar::toggleScan() {
  if (m_document.isScanning()) return m_document.stopScan();
  start(allCodecs());
}

void ScanBar::showScan() {
  const bool scanning = m_document.isScanning();
  m_stop->setVisible(scanning);
  const bool comparable = m_document.isOpen() && MetricScatter::known(m_document).size() > 1;
  m_compare->setVisible(comparable && !scanning);
  m_compare->setToolTip(tr("How alike two metrics rank the weights of this model."));
  if (scanning) {
    QString share;
    for (const JobList::Entry& entry : m_document.jobs().entries()) {
      if (entry.id != m_document.scanJob() || entry.progress.total == 0) continue;
      share = tr("%1 %").arg(entry.progress.done * 100 / entry.progress.total);
    }
    m_scan->setText(share.isEmpty() ? tr("Scan …") : tr("Scan %1").arg(share));
    m_scan->setEnabled(true);
    m_scan->setToolTip(tr("Stop. What is measured is kept."));
  } else {
    m_missing = missing(allCodecs());
    const Codec* only = codec();
    m_cheaper = only ? missing({std::string(only->name)}) : 0;
    const bool complete = m_document.isOpen() && m_missing == 0;
    m_scan->setText(complete ? tr("Scanned") : tr("Scan"));
    m_scan->setEnabled(m_document.canInfer() && !complete);
    m_scan->setToolTip(complete ? tr("Every cell of this metric is known.") : costText());
  }
  emit costChanged();
}

}  // namespace bitloom

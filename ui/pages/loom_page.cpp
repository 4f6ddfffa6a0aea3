// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/loom_page.h"

#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QDir>
#include <QFileDialog>
#include <QLabel>
#include <QMimeData>
#include <QPushButton>
#include <algorithm>
#include <cmath>

#include "core/metric.h"
#include "ui/format.h"
#include "ui/models/loom_edits.h"
#include "ui/models/loom_selection.h"
#include "ui/models/plan_table.h"
#include "ui/widgets/budget_panel.h"
#include "ui/widgets/heat_legend.h"
#include "ui/widgets/heatmap_view.h"
#include "ui/widgets/loom_actions.h"
#include "ui/widgets/loom_columns.h"
#include "ui/widgets/pareto_chart.h"
#include "ui/widgets/plan_table_view.h"
#include "ui/widgets/scan_bar.h"

namespace bitloom {
namespace {

constexpr int kParetoPause = 400;  // ms; cells come in batches while a scan runs

QString text(std::string_view view) {
  return QString::fromUtf8(view.data(), qsizetype(view.size()));
}

QString signedSize(uint64_t after, uint64_t before) {
  const bool more = after >= before;
  return (more ? QStringLiteral("+") : QStringLiteral("−")) +
         formatGB(more ? after - before : before - after);
}

QString signedDamage(const Prediction& change) {
  const QString size = formatKldError(std::abs(change.value), change.error);
  return (change.value < 0 ? QStringLiteral("−") : QStringLiteral("+")) + size;
}

}  // namespace

LoomPage::LoomPage(Document& document, QWidget* parent)
    : QWidget(parent),
      m_document(document),
      m_selection(new LoomSelection(this)),
      m_actions(new LoomActions(document, *m_selection, this)),
      m_table(new PlanTable(this)) {
  setObjectName("loomPage");
  m_paretoTimer.setSingleShot(true);
  m_paretoTimer.setInterval(kParetoPause);
  m_askPath = [this](auto chosen) {
    auto* dialog = new QFileDialog(this, tr("Quantize to"), savePath(), tr("GGUF (*.gguf)"));
    dialog->setOption(QFileDialog::DontUseNativeDialog);
    dialog->setAcceptMode(QFileDialog::AcceptSave);
    dialog->setDefaultSuffix("gguf");
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &QFileDialog::fileSelected, this, chosen);
    dialog->open();
  };
  build();
  connectDocument();
  connectHands();
  showModel();
}

void LoomPage::connectDocument() {
  connect(&m_document, &Document::modelChanged, this, &LoomPage::showModel);
  connect(&m_document, &Document::planChanged, this, &LoomPage::showPlan);
  connect(&m_document, &Document::damageChanged, this, &LoomPage::showDamage);
  connect(&m_document, &Document::sensitivityChanged, this, [this](const QString& metric) {
    const Metric* shown = m_scan->metric();
    if (shown && metric == text(shown->name)) showCells();
    showPlan();
    m_paretoTimer.start();
  });
  connect(&m_document, &Document::cellMeasured, this,
          [this](const QString& metric, const Cell& cell) {
            const Metric* shown = m_scan->metric();
            const Codec* codec = m_scan->codec();
            const Tensor* tensor = m_document.model().find(cell.tensor);
            if (!shown || !codec || !tensor || metric != text(shown->name)) return;
            if (effectiveCodec(codec, tensor->rowLength())->name != cell.codec) return;
            m_heatmap->setCell(m_document.model().indexOf(*tensor), {cell.value, cell.error});
            showHoldTotal();
          });
  connect(&m_document, &Document::scanChanged, this, [this] {
    showHoldTotal();
    m_paretoTimer.start();
  });
  connect(&m_document, &Document::runsChanged, &m_paretoTimer, qOverload<>(&QTimer::start));
  connect(&m_paretoTimer, &QTimer::timeout, this, &LoomPage::computePareto);
}

// --- showing ---------------------------------------------------------------------------------

void LoomPage::showModel() {
  m_selection->clear();
  m_dragged.reset();
  m_pareto = {};
  m_chart->setPoints({});
  const bool open = m_document.isOpen();
  const Graph* graph = open && m_document.canInfer() ? &m_document.graph() : nullptr;
  m_grid = open ? LoomGrid(m_document.model(), graph) : LoomGrid();
  m_heatmap->setGrid(m_grid);
  m_faders->setGrid(m_grid);
  m_faders->setLadder(m_document.ladder());
  QStringList names;
  for (const Codec* codec : m_document.choices()) names << text(codec->name);
  m_table->setCodecs(names);
  showCells();
  showPlan();
  showDamage();
  showStatus();
  m_paretoTimer.start();
}

const Cell* LoomPage::cellOf(size_t tensor) const {
  const Metric* metric = m_scan->metric();
  const Codec* codec = m_scan->codec();
  if (!metric || !codec || !m_document.isOpen()) return nullptr;
  const Tensor& weight = m_document.model().tensors()[tensor];
  const Codec* effective = effectiveCodec(codec, weight.rowLength());
  return m_document.sensitivity(std::string(metric->name)).find(weight.name, effective->name);
}

void LoomPage::showCells() {
  std::map<size_t, HeatCell> cells;
  for (const size_t tensor : m_grid.tensors()) {
    if (const Cell* cell = cellOf(tensor)) cells[tensor] = {cell->value, cell->error};
  }
  m_heatmap->setCells(std::move(cells));
  showHoldTotal();
}

void LoomPage::showPlan() {
  const bool open = m_document.isOpen();
  m_quantize->setEnabled(open);
  m_chat->setEnabled(open && m_document.canInfer());
  if (!open || m_document.plan().tensors.empty()) return;
  const Plan& plan = m_document.plan();
  std::set<size_t> pins;
  std::vector<FaderBar> bars;
  for (int column = 0; column < m_grid.columns(); ++column) {
    FaderBar bar;
    const auto tensors = m_grid.column(column);
    bar.bits = meanBits(m_document.model(), plan, tensors);
    for (const size_t tensor : tensors) {
      if (!plan.tensors[tensor].pinned) continue;
      bar.pinned = true;
      pins.insert(tensor);
    }
    bars.push_back(bar);
  }
  m_faders->setBars(std::move(bars));
  m_faders->setUniform(meanBits(m_document.model(), plan, m_grid.tensors()));
  m_heatmap->setPins(std::move(pins));
  m_table->setRows(planRows(m_document.model(), plan, m_grid, solverCells(m_document)));
  if (!m_document.isPreviewing() && m_document.pins() != m_paretoPins) m_paretoTimer.start();
}

QString LoomPage::describe(size_t tensor) const {
  const Metric* metric = m_scan->metric();
  const Codec* codec = m_scan->codec();
  if (!m_document.isOpen() || !metric || !codec) return {};
  const Tensor& weight = m_document.model().tensors()[tensor];
  const Codec* effective = effectiveCodec(codec, weight.rowLength());
  QStringList lines{tr("%1 at %2").arg(text(weight.name), text(effective->title))};
  if (const Cell* cell = cellOf(tensor)) {
    const QString value =
        cell->error > 0 ? formatKldError(cell->value, cell->error) : formatKld(cell->value);
    lines << tr("%1 %2, %3")
                 .arg(value, text(metric->unit),
                      metric->measured ? tr("measured (16-bit products or better)")
                                       : tr("a proxy, not measured"));
    lines << tr("%1 (now %2)")
                 .arg(formatGB(cell->bytes), formatGB(m_document.plan().tensors[tensor].bytes));
    const Sensitivity& all = m_document.sensitivity(std::string(metric->name));
    if (!all.text.empty()) {
      lines << tr("on %1, %2 tokens").arg(text(all.text), formatGrouped(all.tokens));
    }
  } else {
    lines << tr("not measured: Scan fills it");
  }
  if (effective != codec) {
    lines << tr("rows of %1 do not fit %2").arg(weight.rowLength()).arg(text(codec->title));
  }
  if (m_document.isPinned(tensor)) lines << tr("pinned");
  return lines.join('\n');
}

void LoomPage::showStatus() {
  const auto tensors = m_selection->list();
  QString selected = tr("nothing selected · click a cell, a number, a name, or draw a box");
  if (!tensors.empty() && m_document.isOpen()) {
    uint64_t bytes = 0;
    for (const size_t tensor : tensors) bytes += m_document.plan().tensors[tensor].bytes;
    QString where = tensors.size() == 1 ? tr("1 tensor") : tr("%1 tensors").arg(tensors.size());
    for (int column = 0; column < m_grid.columns(); ++column) {
      const auto all = m_grid.column(column);
      if (all.size() != tensors.size() || !m_selection->containsAll(all)) continue;
      where = tr("%1, %2").arg(columnName(m_grid, column), where);
    }
    selected = tr("selected: %1, %2").arg(where, formatGB(bytes));
  }
  const QString cost = m_scan->costText();
  const QString cheaper = m_scan->cheaperText();
  m_status->setText(selected);
  m_status->setVisible(cost.isEmpty() || !tensors.empty());
  m_cost->setText(cost);
  m_cost->setVisible(!cost.isEmpty() && tensors.empty());
  m_cheaper->setText(cheaper);
  m_cheaper->setVisible(!cheaper.isEmpty() && tensors.empty());
}

void LoomPage::showHoldTotal() {
  const bool cells =
      m_document.isOpen() && m_document.canInfer() && !solverCells(m_document).cells.empty();
  if (m_holdCells == cells) return;
  m_holdCells = cells;
  m_hold->setEnabled(cells);
  m_hold->setToolTip(cells ? tr("On release the other weights are solved again, so that the size "
                                "of the file stays.")
                           : tr("Needs a scan: without cells nobody knows where bits hurt least."));
}

// --- hands -----------------------------------------------------------------------------------

void LoomPage::connectHands() {
  m_actions->watch(m_heatmap);
  m_actions->watch(m_faders);
  m_actions->watch(m_tableView);
  connect(m_selection, &LoomSelection::changed, this, &LoomPage::showStatus);
  connect(m_scan, &ScanBar::choiceChanged, this, &LoomPage::showCells);
  connect(m_scan, &ScanBar::costChanged, this, &LoomPage::showStatus);
  connect(m_cheaper, &QPushButton::clicked, m_scan, &ScanBar::startCheaper);
  connect(m_heatmap, &HeatmapView::rangeChanged, this,
          [this] { m_scan->legend().setRange(m_heatmap->range(), m_heatmap->isClipped()); });
  connect(m_heatmap, &HeatmapView::copyRequested, this, &LoomPage::copyHeatmap);
  m_heatmap->setDescriber([this](size_t tensor) { return describe(tensor); });
  connect(m_faders, &FaderBank::dragged, this, &LoomPage::dragFaders);
  connect(m_faders, &FaderBank::dropped, this, &LoomPage::dropFaders);
  connect(m_faders, &FaderBank::pinToggled, this, &LoomPage::togglePin);
  connect(m_faders, &FaderBank::dragCancelled, this, [this] {
    m_dragged.reset();
    m_document.cancelPreview();
  });
  connect(m_table, &PlanTable::codecEdited, this, [this](size_t tensor, const QString& codec) {
    m_document.setRecipe(m_document.withCodec({tensor}, codec.toStdString(), "set"),
                         tr("set %1").arg(codec));
  });
  connect(m_table, &PlanTable::pinEdited, this, [this](size_t tensor, bool pinned) {
    m_document.setRecipe(m_document.withPin({tensor}, pinned), pinned ? tr("pin") : tr("free"));
  });
  connect(m_budget, &BudgetPanel::failed, this,
          [this](const QString& message) { notice(message, /*failure=*/true); });
  connect(m_budget, &BudgetPanel::said, this,
          [this](const QString& message) { notice(message, /*failure=*/false); });
  connect(m_quantize, &QPushButton::clicked, this, &LoomPage::askPath);
  connect(m_chat, &QPushButton::clicked, this, &LoomPage::chatRequested);
}

Recipe LoomPage::faderRecipe(const FaderLevels& levels, std::vector<size_t>* moved) const {
  CodecChoices choices;
  for (const auto& [column, codec] : levels) {
    choices.merge(allSetTo(m_document, m_grid.column(column), std::string(codec->name)));
  }
  if (moved) {
    for (const auto& [tensor, codec] : choices) moved->push_back(tensor);
  }
  return assign(m_document.recipe(), m_document.model(), choices, "dragged");
}

void LoomPage::dragFaders(const FaderLevels& levels) {
  if (!m_dragged) m_dragged = m_document.plan();
  m_document.previewRecipe(faderRecipe(levels));
  m_faders->setBubble(bubble(levels));
}

QStringList LoomPage::bubble(const FaderLevels& levels) const {
  const Plan& after = m_document.plan();
  const auto tensors = m_grid.column(m_faders->dragColumn());
  QString where = columnName(m_grid, m_faders->dragColumn());
  if (levels.size() > 1) where = tr("%1 columns").arg(levels.size());
  const QString was = QString::number(meanBits(m_document.model(), *m_dragged, tensors), 'f', 3);
  const QString is = formatBpw(meanBits(m_document.model(), after, tensors));
  QString second = signedSize(after.fileBytes, m_dragged->fileBytes);
  const Prediction change = predictedChange(*m_dragged, after, m_document.predictor());
  second += std::isfinite(change.value) ? tr(" · ΔKLD %1 (predicted)").arg(signedDamage(change))
                                        : tr(" · ΔKLD measured on release");
  QStringList lines{tr("%1: %2 → %3").arg(where, was, is), second};
  const bool stuck = std::any_of(tensors.begin(), tensors.end(),
                                 [&](size_t tensor) { return after.tensors[tensor].pinned; });
  if (stuck) lines << tr("pinned weights stay");
  return lines;
}

void LoomPage::dropFaders(const FaderLevels& levels) {
  const uint64_t before = m_dragged ? m_dragged->fileBytes : m_document.plan().fileBytes;
  m_dragged.reset();
  std::vector<size_t> moved;
  Recipe recipe = faderRecipe(levels, &moved);
  const QString where = levels.size() == 1 ? columnName(m_grid, levels.begin()->first)
                                           : tr("%1 columns").arg(levels.size());
  if (moved.empty()) return m_document.cancelPreview();
  if (m_hold->isChecked() && m_hold->isEnabled()) {
    auto held = holdTotal(m_document, recipe, moved, before);
    if (!held) {
      m_document.cancelPreview();
      return notice(text(held.error().message), /*failure=*/true);
    }
    recipe = std::move(*held);
  }
  m_document.setRecipe(recipe, tr("drag %1").arg(where));
}

void LoomPage::togglePin(int column) {
  const auto tensors = m_grid.column(column);
  const bool all = std::all_of(tensors.begin(), tensors.end(),
                               [this](size_t tensor) { return m_document.isPinned(tensor); });
  m_document.setRecipe(m_document.withPin(tensors, !all),
                       (all ? tr("free %1") : tr("pin %1")).arg(columnName(m_grid, column)));
}

// --- files and clipboard -----------------------------------------------------------------------

QString LoomPage::savePath() const {
  const auto source = m_document.model().path();
  const QString stem = text(source.stem().string());
  return QString("%1/%2-%3.gguf").arg(QDir::homePath(), stem, m_document.planLabel());
}

void LoomPage::askPath() {
  if (!m_document.isOpen()) return;
  m_askPath([this](const QString& path) {
    if (!path.isEmpty()) m_document.quantizeTo(path);
  });
}

QString LoomPage::heatmapCsv() const {
  QString csv = "tensor,codec,metric,value,error,bytes\n";
  for (const size_t tensor : m_grid.tensors()) {
    const Cell* cell = cellOf(tensor);
    if (!cell) continue;
    csv += QString("%1,%2,%3,%4,%5,%6\n")
               .arg(text(cell->tensor), text(cell->codec), text(m_scan->metric()->name))
               .arg(cell->value, 0, 'g', 9)
               .arg(cell->error, 0, 'g', 9)
               .arg(cell->bytes);
  }
  return csv;
}

void LoomPage::copyHeatmap() {
  auto* mime = new QMimeData;
  mime->setImageData(m_heatmap->grab().toImage());
  mime->setText(heatmapCsv());
  QApplication::clipboard()->setMimeData(mime);
}

}  // namespace bitloom

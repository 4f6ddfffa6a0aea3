// SPDX-License-Identifier: GPL-3.0-or-later
// The Loom page's layout, and what its right side says about damage: chart, probe, words.
#include <QCheckBox>
#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "ui/format.h"
#include "ui/pages/loom_page.h"
#include "ui/theme.h"
#include "ui/widgets/budget_panel.h"
#include "ui/widgets/card.h"
#include "ui/widgets/heatmap_view.h"
#include "ui/widgets/pareto_chart.h"
#include "ui/widgets/plan_table_view.h"
#include "ui/widgets/probe_bars.h"
#include "ui/widgets/scan_bar.h"

namespace bitloom {
namespace {

constexpr int kSideWidth = 312;
constexpr int kRoomyHeight = 660;  // of the page; a window of 800 has 700

QLabel* named(QLabel* label, const char* objectName) {
  label->setObjectName(objectName);
  return label;
}

}  // namespace

// --- layout ----------------------------------------------------------------------------------

void LoomPage::build() {
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(kMargin, 12, kMargin, kMargin - 4);
  row->setSpacing(kMargin);
  row->addWidget(buildLeft(), 1);
  row->addWidget(buildSide());
}

QWidget* LoomPage::buildLeft() {
  auto* left = new QWidget(this);
  auto* column = new QVBoxLayout(left);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(kGap);
  m_scan = new ScanBar(m_document, left);
  column->addWidget(buildNotice());
  column->addWidget(m_scan);
  column->addWidget(buildHeatmapCard(), 8);
  column->addWidget(buildFaderCard(), 7);
  column->addWidget(buildTableCard(), 7);
  return left;
}

QWidget* LoomPage::buildNotice() {
  m_notice = new QFrame(this);
  m_notice->setObjectName("loomNotice");
  m_notice->setProperty("card", true);
  auto* row = new QHBoxLayout(m_notice);
  row->setContentsMargins(12, 4, 4, 4);
  m_noticeLabel = named(makeLabel({}, "warn"), "loomNoticeLabel");
  m_noticeLabel->setWordWrap(true);
  m_noticeLabel->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  auto* close = makeButton(QStringLiteral("✕"), "closeNoticeButton", Rank::Link);
  close->setAccessibleName(tr("Close the message"));
  connect(close, &QPushButton::clicked, m_notice, &QWidget::hide);
  row->addWidget(m_noticeLabel, 1);
  row->addWidget(close);
  m_notice->hide();
  return m_notice;
}

QWidget* LoomPage::buildHeatmapCard() {
  auto* card = new Card({}, this);
  card->body()->setContentsMargins(12, 12, 0, 8);
  card->body()->setSpacing(4);
  m_heatmap = new HeatmapView(*m_selection, card);
  card->body()->addWidget(m_heatmap, 1);
  auto* row = new QHBoxLayout;
  row->setSpacing(kGap);
  m_status = named(makeLabel({}, "faint"), "heatStatusLabel");
  m_cost = named(makeLabel({}, "faint"), "scanCostLabel");
  m_cheaper = makeButton({}, "cheaperScanButton", Rank::Link);
  row->addWidget(m_status);
  row->addWidget(m_cost);
  row->addWidget(m_cheaper);
  row->addStretch();
  card->body()->addLayout(row);
  return card;
}

QWidget* LoomPage::buildFaderCard() {
  auto* card = new Card({}, this);
  card->body()->setContentsMargins(12, 8, 0, 8);
  card->body()->setSpacing(4);
  m_faders = new FaderBank(*m_selection, card);
  card->body()->addWidget(m_faders, 1);
  auto* row = new QHBoxLayout;
  row->addWidget(
      makeLabel(tr("drag a top · ⇧ paints · double-click pins · + and − step"), "faint"));
  row->addStretch();
  m_hold = new QCheckBox(tr("hold total: bits come from where they hurt least"), card);
  m_hold->setObjectName("holdTotalCheck");
  row->addWidget(m_hold);
  row->addSpacing(kMargin);
  card->body()->addLayout(row);
  return card;
}

QWidget* LoomPage::buildTableCard() {
  auto* card = new Card({}, this);
  card->body()->setContentsMargins(6, 4, 6, 6);
  m_tableView = new PlanTableView(*m_table, *m_selection, card);
  card->body()->addWidget(m_tableView);
  return card;
}

QWidget* LoomPage::buildSide() {
  auto* card = new Card({}, this);
  card->setFixedWidth(kSideWidth);
  QVBoxLayout* body = card->body();
  body->setContentsMargins(16, 10, 16, 12);
  body->setSpacing(6);
  m_budget = new BudgetPanel(m_document, card);
  m_budget->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
  body->addWidget(m_budget);
  body->addWidget(makeLabel(tr("Size and damage"), "heading"));
  m_chart = new ParetoChart(card);
  body->addWidget(m_chart, 1);
  auto* title = new QHBoxLayout;
  title->addWidget(makeLabel(tr("Live probe"), "heading"));
  title->addStretch();
  m_probeText = named(makeLabel({}, "faint"), "probeTextLabel");
  title->addWidget(m_probeText);
  body->addLayout(title);
  m_probe = new ProbeBars(card);
  body->addWidget(m_probe);
  m_probeLegend = makeLabel({}, "faint");
  m_probeLegend->setTextFormat(Qt::RichText);
  body->addWidget(m_probeLegend);
  m_words = named(makeLabel({}), "damageWordsLabel");
  m_words->setWordWrap(true);
  m_words->setMinimumHeight(m_words->fontMetrics().height() * 2);
  m_words->setAlignment(Qt::AlignLeft | Qt::AlignTop);
  m_words->setTextInteractionFlags(Qt::TextSelectableByMouse);
  m_tieNote = named(makeLabel(tr("Differences inside ± are ties."), "faint"), "tieNoteLabel");
  body->addWidget(m_words);
  body->addWidget(m_tieNote);
  auto* buttons = new QHBoxLayout;
  m_quantize = makeButton(tr("Quantize…"), "quantizeButton", Rank::Primary);
  m_chat = makeButton(tr("Chat with it"), "chatButton");
  buttons->addWidget(m_quantize, 1);
  buttons->addWidget(m_chat, 1);
  body->addLayout(buttons);
  return card;
}

void LoomPage::changeEvent(QEvent* event) {
  QWidget::changeEvent(event);
  if (event->type() == QEvent::PaletteChange && m_probeLegend) showProbe();
}

// On a low window the side card keeps what can be changed and lets notes go first.
void LoomPage::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  m_probeLegend->setVisible(height() >= kRoomyHeight);
  showDamage();
}

void LoomPage::notice(const QString& message, bool failure) {
  setTone(m_noticeLabel, failure ? "warn" : "");
  m_noticeLabel->setText(message);
  m_notice->show();
}

// --- damage ----------------------------------------------------------------------------------

void LoomPage::showDamage() {
  const Document::Damage& damage = m_document.damage();
  using Kind = Document::Damage::Kind;
  const bool known = damage.kind != Kind::Unknown && std::isfinite(damage.value);
  ParetoPoint point;
  point.damage = std::nan("");
  if (m_document.isOpen()) point.fileBytes = m_document.plan().fileBytes;
  if (known) {
    point.damage = damage.value;
    point.error = damage.error;
  }
  m_chart->setPlan(point);
  if (known) {
    QString words = damageInWords(damage.value, damage.error, m_pareto.uniform);
    if (damage.kind != Kind::Measured) words += tr(" Predicted.");
    m_words->setText(words);
  } else {
    const QString why = damage.kind == Kind::Measuring ? tr("measuring") : damage.note;
    m_words->setText(m_document.isOpen() ? tr("ΔKLD: %1").arg(why) : QString());
  }
  m_words->setToolTip(tr("Uniform codecs are compared by the sum of their measured cells."));
  m_tieNote->setVisible(known && !m_pareto.uniform.empty() && height() >= kRoomyHeight);
  showProbe();
}

void LoomPage::showProbe() {
  std::vector<ProbeRow> rows;
  const auto& probe = m_document.probe();
  const Tokenizer* tokenizer = m_document.tokenizer();
  if (probe && tokenizer) {
    for (size_t i = 0; i < std::min(probe->reference.size(), probe->variant.size()); ++i) {
      const TokenProbability& token = probe->reference[i];
      const std::string piece = validUtf8(tokenizer->piece(token.id, /*showSpecial=*/true));
      rows.push_back(
          {QString::fromStdString(piece), token.probability, probe->variant[i].probability});
    }
  }
  m_probe->setRows(std::move(rows));
  m_probe->setEmptyText(!m_document.isOpen()    ? tr("No model is open.")
                        : m_document.canInfer() ? tr("The first measurement is under way.")
                                                : m_document.inferenceProblem());
  const QString words = m_document.probeText();
  const int room = kSideWidth - 150;  // margins, heading and quotation marks
  m_probeText->setText(words.isEmpty() ? QString()
                                       : QString("“%1”").arg(m_probeText->fontMetrics().elidedText(
                                             words, Qt::ElideLeft, room)));
  m_probeText->setToolTip(words);
  const QString source = m_document.isOpen()
                             ? QString::fromStdString(m_document.model().sourceLabel())
                             : tr("reference");
  m_probeLegend->setText(
      QString("<span style='color:%1'>▬</span> %3 &nbsp; <span style='color:%2'>▬ %4</span>")
          .arg(theme().faint.name(), theme().accent.name(), source.toHtmlEscaped(),
               tr("this plan")));
}

void LoomPage::computePareto() {
  if (!m_document.isOpen() || !m_document.canInfer()) return;
  if (m_paretoJob != 0) return m_paretoTimer.start();  // the one under way first
  m_paretoPins = m_document.pins();
  const auto input = std::make_shared<const ParetoInput>(ParetoInput::of(m_document));
  m_paretoJob = m_document.jobs().start<ParetoPoints>(
      tr("Chart"), JobPriority::Scan, this,
      [input](JobContext& job) { return paretoPoints(*input, job); },
      [this, input](Result<ParetoPoints> points) {
        m_paretoJob = 0;
        if (!points || !m_document.isOpen()) return;
        if (m_document.sharedModel() != input->model) return;
        m_pareto = std::move(*points);
        m_chart->setPoints(m_pareto);
        showDamage();
      },
      /*quiet=*/true);
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/prove_card.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QVBoxLayout>

#include "ui/format.h"
#include "ui/theme.h"

namespace bitloom {

QTableWidget* makeSmallTable(const QStringList& header, const char* objectName, QWidget* parent) {
  auto* table = new QTableWidget(0, int(header.size()), parent);
  table->setObjectName(objectName);
  table->setHorizontalHeaderLabels(header);
  table->horizontalHeader()->setHighlightSections(false);
  QFont bold = table->font();
  bold.setBold(true);
  table->horizontalHeader()->setFont(bold);  // or sections are measured in the regular weight
  table->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
  table->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
  table->verticalHeader()->hide();
  table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 10);
  table->setShowGrid(false);
  table->setEditTriggers(QAbstractItemView::NoEditTriggers);
  table->setSelectionBehavior(QAbstractItemView::SelectRows);
  table->setTabKeyNavigation(false);
  for (int column = 0; column < header.size(); ++column) {
    const bool name = column == 0;
    table->horizontalHeaderItem(column)->setTextAlignment((name ? Qt::AlignLeft : Qt::AlignRight) |
                                                          Qt::AlignVCenter);
  }
  return table;
}

void fitHeight(QTableWidget* table) {
  table->setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  table->setFixedHeight(table->horizontalHeader()->sizeHint().height() +
                        table->rowCount() * table->verticalHeader()->defaultSectionSize() + 2);
}

ProveCard::ProveCard(Document& document, QWidget* parent) : Card({}, parent), m_document(document) {
  setObjectName("proveCard");
  setAccessibleName(tr("Prove the plan"));
  auto* row = new QHBoxLayout;
  auto* words = new QVBoxLayout;
  words->setSpacing(2);
  words->addWidget(makeLabel(tr("Prove it"), "heading", this));
  m_note = makeLabel({}, "faint", this);
  m_note->setObjectName("proveNoteLabel");
  words->addWidget(m_note);
  row->addLayout(words, 1);
  m_texts = new QComboBox(this);
  m_texts->setObjectName("proofTextBox");
  m_texts->setAccessibleName(tr("Text of the proof"));
  m_texts->hide();
  row->addWidget(m_texts, 0, Qt::AlignVCenter);
  m_button = makeButton(tr("Prove this plan"), "proveButton", Rank::Primary, this);
  row->addWidget(m_button, 0, Qt::AlignVCenter);
  body()->addLayout(row);
  m_table = makeSmallTable(
      {tr("on held-out text"), tr("size"), tr("mean KLD, ±95 %"), tr("plan ÷ rival, paired"),
       tr("99 %"), tr("99.9 %"), tr("same top"), tr("perplexity, ±95 %")},
      "proveTable", this);
  m_table->hide();
  body()->addWidget(m_table);
  m_worst = makeLabel({}, "faint", this);
  m_worst->setObjectName("worstTextLabel");
  m_worst->hide();
  body()->addWidget(m_worst);
  m_verdict = makeLabel({}, "", this);
  m_verdict->setObjectName("verdictLabel");
  m_verdict->setWordWrap(true);
  m_verdict->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  m_verdict->hide();
  body()->addWidget(m_verdict);
  connect(m_button, &QPushButton::clicked, this, &ProveCard::start);
  connect(m_texts, &QComboBox::activated, this, &ProveCard::fill);
  connect(&document, &Document::planChanged, this, &ProveCard::refresh);
  connect(&document, &Document::modelChanged, this, [this] {
    for (QWidget* widget : {static_cast<QWidget*>(m_table), static_cast<QWidget*>(m_texts),
                            static_cast<QWidget*>(m_worst), static_cast<QWidget*>(m_verdict)}) {
      widget->hide();
    }
    refresh();
  });
  refresh();
}

void ProveCard::refresh() {
  const bool able = m_document.canInfer() && m_document.tokenizer() != nullptr;
  const bool running = m_document.jobs().isRunning(m_job);
  m_button->setEnabled(able && !running);
  m_button->setText(running ? tr("Proving…") : tr("Prove this plan"));
  m_note->setText(!m_document.isOpen() ? tr("Open a model first.")
                  : !able              ? m_document.inferenceProblem()
                          : tr("Measures %1 and its rivals of like size on text that no scan has "
                               "seen.")
                                .arg(m_document.planLabel()));
}

void ProveCard::start() {
  ProveRequest request;
  request.label = m_document.planLabel();
  request.recipe = m_document.recipe();
  request.ladder = m_document.ladder();
  request.cells = m_document.predictingCells();
  request.device = m_document.devices().forJob();
  m_job = m_document.jobs().start<ProveReport>(
      tr("Prove · %1").arg(request.label), JobPriority::Scan, this,
      [work = m_document.work(), request](JobContext& job) { return prove(*work, request, job); },
      [this](Result<ProveReport> report) {
        if (report) {
          m_document.devices().report(report->use);
          show(*report);
          keep(*report);
        } else if (report.error().code != ErrorCode::Cancelled) {
          emit m_document.failed(tr("Prove"), QString::fromStdString(report.error().message));
        }
        refresh();
      });
  refresh();
}

void ProveCard::show(const ProveReport& report) {
  m_report = report;
  m_texts->clear();
  m_texts->addItem(tr("All texts"));
  const auto& strata = report.rows.front().strata;
  for (const StratumResult& stratum : strata) {
    m_texts->addItem(QString::fromStdString(stratum.name));
  }
  m_texts->show();
  if (report.worst) {
    const StratumResult& worst = strata[report.worst->index];
    const QString range =
        formatKldError(worst.evaluation.kld.mean, interval95(worst.evaluation.kld));
    const QString name = QString::fromStdString(worst.name);
    m_worst->setText(
        report.worst->tied
            ? tr("Worst text: %1, %2, though another is as bad within the noise.").arg(name, range)
            : tr("Worst text: %1, %2.").arg(name, range));
  }
  m_worst->setVisible(report.worst.has_value());
  fill();
  m_table->show();
  m_verdict->setText(report.verdict);
  m_verdict->show();
}

const Evaluation& ProveCard::shownOf(const ProveRow& row) const {
  const int chosen = m_texts->currentIndex();
  return chosen <= 0 ? row.evaluation : row.strata[size_t(chosen) - 1].evaluation;
}

QString ProveCard::pairedText(const ProveRow& row) const {
  const PairedFigure ratio = comparePaired(shownOf(m_report.rows.front()), shownOf(row)).kldRatio;
  if (ratio.tie) return tr("tie");
  return tr("%1 × (%2 … %3)")
      .arg(ratio.value, 0, 'f', 2)
      .arg(ratio.interval.low, 0, 'f', 2)
      .arg(ratio.interval.high, 0, 'f', 2);
}

void ProveCard::fill() {
  m_table->setRowCount(int(m_report.rows.size()));
  for (int row = 0; row < int(m_report.rows.size()); ++row) {
    const ProveRow& entry = m_report.rows[size_t(row)];
    const Evaluation& e = shownOf(entry);
    const double perplexity = (e.perplexityInterval.high - e.perplexityInterval.low) / 2;
    const QString paired = row == 0 ? QString() : pairedText(entry);
    const QStringList cells = {entry.title,
                               formatGB(entry.plan.fileBytes),
                               formatKldError(e.kld.mean, interval95(e.kld)),
                               paired,
                               formatKld(e.kldP99),
                               formatKld(e.kldP999),
                               formatPercent(e.sameTop.mean),
                               formatKldError(e.perplexity, perplexity)};
    for (int column = 0; column < cells.size(); ++column) {
      auto* item = new QTableWidgetItem(cells[column]);
      item->setTextAlignment((column == 0 ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
      if (paired == tr("tie")) item->setForeground(theme().faint);
      if (row == 0) {
        QFont bold = m_table->font();
        bold.setBold(true);
        item->setFont(bold);
      }
      m_table->setItem(row, column, item);
    }
  }
  fitHeight(m_table);
}

void ProveCard::keep(const ProveReport& report) {
  const ProveRow& plan = report.rows.front();
  Run run;
  run.kind = RunKind::Evaluate;
  run.model = m_document.model().name();
  run.fingerprint = m_document.model().fingerprint();
  run.title = m_document.planLabel().toStdString();
  run.state = "done";
  run.recipeJson = bitloom::toJson(plan.recipe);
  run.planHash = plan.plan.hash;
  run.bytes = plan.plan.fileBytes;
  run.bitsPerWeight = plan.plan.bitsPerWeight;
  run.resultJson = bitloom::toJson(report);
  const auto id = m_document.store().add(run);
  if (id) {
    m_document.jobs().setMessage(m_job, report.verdict, *id);
  } else {
    emit m_document.failed(tr("Prove"), QString::fromStdString(id.error().message));
  }
  m_document.announceRuns();
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/runs_page.h"

#include <QCheckBox>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLineEdit>
#include <QTableWidget>
#include <QVBoxLayout>

#include "ui/compare_runs.h"
#include "ui/format.h"
#include "ui/models/run_table.h"
#include "ui/runs_export.h"
#include "ui/theme.h"
#include "ui/widgets/card.h"
#include "ui/widgets/prove_card.h"
#include "ui/widgets/table.h"

namespace bitloom {
namespace {

constexpr int kCompareHeight = 210;
const std::array<int, RunTable::kColumns> kWidths = {118, 92, 220, 92, 72, 150, 104, 96, 120};

void setCell(QTableWidget* table, int row, int column, const QString& text, bool faint) {
  auto* item = new QTableWidgetItem(text);
  item->setTextAlignment((column == 0 ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
  if (faint) item->setForeground(theme().faint);
  table->setItem(row, column, item);
}

}  // namespace

RunsPage::RunsPage(Document& document, QWidget* parent)
    : QWidget(parent), m_document(document), m_runs(new RunTable(this)) {
  setObjectName("runsPage");
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(kMargin, kMargin, kMargin, kMargin);
  layout->setSpacing(kMargin);
  layout->addWidget(new ProveCard(document, this));
  layout->addWidget(buildRuns(), 1);
  layout->addWidget(buildCompare());
  connect(&document, &Document::runsChanged, this, &RunsPage::reload);
  connect(&document, &Document::modelChanged, this, &RunsPage::reload);
  connect(m_runs, &RunTable::notesEdited, this, [this](const Run& run) {
    if (auto kept = m_document.store().update(run); !kept) {
      emit m_document.failed(tr("Notes"), QString::fromStdString(kept.error().message));
    }
  });
  reload();
}

QWidget* RunsPage::buildRuns() {
  auto* card = new Card({}, this);
  card->setObjectName("runsCard");
  m_view = new Table(m_runs, "runTable", card);
  m_view->setAccessibleName(tr("Runs"));
  for (int column = 0; column < RunTable::kColumns; ++column) {
    m_view->setColumnWidth(column, kWidths[size_t(column)]);
  }
  auto* row = new QHBoxLayout;
  row->addWidget(makeLabel(tr("Runs"), "heading", card));
  row->addSpacing(kGap);
  m_restore = makeButton(tr("Restore"), "restoreButton", Rank::Plain, card);
  m_restore->setToolTip(tr("Makes the run's plan the current one (one undo step)"));
  m_compareButton = makeButton(tr("Compare two"), "compareButton", Rank::Plain, card);
  m_delete = makeButton(tr("Delete"), "deleteButton", Rank::Plain, card);
  m_undoDelete = makeButton({}, "undoDeleteButton", Rank::Link, card);
  m_undoDelete->hide();
  auto* save = makeButton(tr("Save list…"), "exportRunsButton", Rank::Plain, card);
  for (QPushButton* button : {m_restore, m_compareButton, m_delete, save, m_undoDelete}) {
    row->addWidget(button);
  }
  row->addStretch();
  m_all = new QCheckBox(tr("All models"), card);
  m_all->setObjectName("allModelsBox");
  row->addWidget(m_all);
  row->addWidget(m_view->makeFilter(tr("Filter runs"), "runFilter"));
  card->body()->addLayout(row);
  m_empty = makeLabel(tr("Scans, saved plans, quantized files, proofs and exports will be listed "
                         "here. Begin with a scan on the Loom page, or prove the plan above."),
                      "faint", card);
  m_empty->setAlignment(Qt::AlignCenter);
  card->body()->addWidget(m_empty, 1);
  card->body()->addWidget(m_view, 1);
  connect(m_restore, &QPushButton::clicked, this, &RunsPage::restore);
  connect(m_compareButton, &QPushButton::clicked, this, &RunsPage::compare);
  connect(m_delete, &QPushButton::clicked, this, &RunsPage::remove);
  connect(m_undoDelete, &QPushButton::clicked, this, &RunsPage::undoRemove);
  connect(save, &QPushButton::clicked, this, &RunsPage::exportRuns);
  connect(m_all, &QCheckBox::toggled, this, &RunsPage::reload);
  connect(m_view->selectionModel(), &QItemSelectionModel::selectionChanged, this,
          &RunsPage::showSelection);
  return card;
}

QWidget* RunsPage::buildCompare() {
  m_compare = new Card({}, this);
  m_compare->setObjectName("compareCard");
  m_compare->setFixedHeight(kCompareHeight);
  auto* row = new QHBoxLayout;
  m_compareNote = makeLabel({}, "heading", m_compare);
  m_compareNote->setObjectName("compareNoteLabel");
  row->addWidget(m_compareNote, 1);
  auto* close = makeButton(tr("Close"), "closeCompareButton", Rank::Link, m_compare);
  connect(close, &QPushButton::clicked, m_compare, &QWidget::hide);
  row->addWidget(close);
  m_compare->body()->addLayout(row);
  auto* tables = new QHBoxLayout;
  tables->setSpacing(kMargin);
  m_figures = makeSmallTable({tr("figure"), tr("first"), tr("second"), tr("difference")},
                             "compareFigures", m_compare);
  m_changes = makeSmallTable({tr("tensor"), tr("first"), tr("second"), tr("bytes")},
                             "compareChanges", m_compare);
  tables->addWidget(m_figures, 1);
  tables->addWidget(m_changes, 1);
  m_compare->body()->addLayout(tables, 1);
  m_compare->hide();
  return m_compare;
}

void RunsPage::reload() {
  const bool all = m_all->isChecked() || !m_document.isOpen();
  auto runs = m_document.store().runs(all ? std::string() : m_document.model().fingerprint());
  if (!runs) {
    emit m_document.failed(tr("Runs"), QString::fromStdString(runs.error().message));
    return;
  }
  m_empty->setVisible(runs->empty());
  m_view->setVisible(!runs->empty());
  m_runs->setRuns(std::move(*runs));
  showSelection();
}

std::vector<Run> RunsPage::selected() const {
  std::vector<Run> runs;
  for (const int row : m_view->selectedRows()) runs.push_back(m_runs->run(row));
  return runs;
}

void RunsPage::showSelection() {
  const std::vector<Run> runs = selected();
  m_restore->setEnabled(runs.size() == 1 && !runs.front().recipeJson.empty() &&
                        m_document.isOpen());
  m_compareButton->setEnabled(runs.size() == 2);
  m_delete->setEnabled(!runs.empty());
}

void RunsPage::selectRun(int64_t id) {
  int row = m_runs->rowOf(id);
  if (row < 0 && !m_all->isChecked()) {
    m_all->setChecked(true);  // a run of another model
    row = m_runs->rowOf(id);
  }
  if (row < 0) return;
  const QModelIndex index = m_view->proxy()->mapFromSource(m_runs->index(row, 0));
  // Not selectRow(): that asks the header for a column at a pixel, and a page that was never shown
  // has no pixels.
  m_view->selectionModel()->setCurrentIndex(
      index, QItemSelectionModel::ClearAndSelect | QItemSelectionModel::Rows);
  m_view->scrollTo(index);
  m_view->setFocus();
}

void RunsPage::restore() {
  const std::vector<Run> runs = selected();
  if (runs.size() != 1) return;
  auto recipe = parseRecipe(runs.front().recipeJson, runs.front().title);
  if (!recipe) {
    emit m_document.failed(tr("Restore"), QString::fromStdString(recipe.error().message));
    return;
  }
  m_document.setRecipe(*recipe, tr("restore %1").arg(QString::fromStdString(runs.front().title)));
}

void RunsPage::compare() {
  const std::vector<Run> runs = selected();
  if (runs.size() != 2) return;
  const Run& older = runs[0].id < runs[1].id ? runs[0] : runs[1];
  const Run& newer = runs[0].id < runs[1].id ? runs[1] : runs[0];
  const RunDifference difference =
      compareRuns(older, newer, m_document.isOpen() ? &m_document.model() : nullptr);
  m_compareNote->setText(
      tr("%1 → %2").arg(QString::fromStdString(older.title), QString::fromStdString(newer.title)) +
      (difference.note.isEmpty() ? QString() : " · " + difference.note));
  m_figures->setRowCount(int(difference.figures.size()));
  for (int row = 0; row < m_figures->rowCount(); ++row) {
    const auto& figure = difference.figures[size_t(row)];
    const QStringList cells = {figure.name, figure.first, figure.second, figure.difference};
    for (int column = 0; column < cells.size(); ++column) {
      setCell(m_figures, row, column, cells[column], figure.tied);
    }
  }
  m_changes->setRowCount(int(difference.changes.size()));
  for (int row = 0; row < m_changes->rowCount(); ++row) {
    const auto& change = difference.changes[size_t(row)];
    const QString size = formatGB(uint64_t(std::abs(change.bytes)));
    const QStringList cells = {change.tensor, change.first, change.second,
                               (change.bytes < 0 ? "−" : "+") + size};
    for (int column = 0; column < cells.size(); ++column) {
      setCell(m_changes, row, column, cells[column], false);
    }
  }
  m_changes->setVisible(!difference.changes.empty());
  m_compare->show();
}

void RunsPage::remove() {
  m_removed.clear();
  for (const Run& run : selected()) {
    if (auto done = m_document.store().remove(run.id); !done) {
      emit m_document.failed(tr("Delete"), QString::fromStdString(done.error().message));
      break;
    }
    m_removed.push_back(run.id);
  }
  m_undoDelete->setText(tr("%n deleted · Undo", nullptr, int(m_removed.size())));
  m_undoDelete->setVisible(!m_removed.empty());
  m_document.announceRuns();
}

void RunsPage::undoRemove() {
  for (const int64_t id : m_removed) {
    if (auto done = m_document.store().restore(id); !done) {
      emit m_document.failed(tr("Undo delete"), QString::fromStdString(done.error().message));
    }
  }
  m_removed.clear();
  m_undoDelete->hide();
  m_document.announceRuns();
}

void RunsPage::exportRuns() {
  const QString path = QFileDialog::getSaveFileName(
      this, tr("Save the list of runs"), "runs.csv",
      tr("Table (*.csv);;JSON (*.json);;Report (*.html);;Markdown report (*.md)"));
  if (path.isEmpty()) return;
  std::vector<Run> runs = selected();
  if (runs.empty()) {
    for (int row = 0; row < m_runs->rowCount(); ++row) runs.push_back(m_runs->run(row));
  }
  const bool report = path.endsWith(".html") || path.endsWith(".md");
  const Model* model = m_document.isOpen() ? &m_document.model() : nullptr;
  const auto saved =
      report ? saveReport(runs, m_document.sensitivity("kld"), model, path) : saveRuns(runs, path);
  if (!saved) {
    emit m_document.failed(tr("Save list"), QString::fromStdString(saved.error().message));
  }
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/culprit_panel.h"

#include <QHBoxLayout>
#include <QVBoxLayout>

#include "ui/format.h"
#include "ui/theme.h"
#include "ui/widgets/card.h"

namespace bitloom {
namespace {

constexpr size_t kShown = 3;

QString fromView(std::string_view text) {
  return QString::fromUtf8(text.data(), qsizetype(text.size()));
}

QString shown(const QString& token) {
  const QString text = token.trimmed();
  return text.isEmpty() ? QStringLiteral("␣") : text.toHtmlEscaped();
}

}  // namespace

CulpritPanel::CulpritPanel(Document& document, QWidget* parent)
    : QFrame(parent), m_document(document) {
  setObjectName("culpritPanel");
  setProperty("card", true);
  m_title = makeLabel({}, "", this);
  m_title->setObjectName("culpritTitle");
  m_title->setTextFormat(Qt::RichText);
  m_note = makeLabel({}, "faint", this);
  m_note->setObjectName("culpritNote");
  m_note->setWordWrap(true);
  auto* close = makeButton(tr("Close"), "closeCulpritsButton", Rank::Link, this);
  connect(close, &QPushButton::clicked, this, &CulpritPanel::forget);
  m_rows = new QWidget(this);
  m_grid = new QGridLayout(m_rows);
  m_grid->setContentsMargins(0, 4, 0, 4);
  m_grid->setHorizontalSpacing(24);
  m_grid->setVerticalSpacing(4);

  auto* top = new QHBoxLayout;
  top->addWidget(m_title, 1);
  top->addWidget(close);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(kMargin, 10, kMargin, 12);
  layout->setSpacing(4);
  layout->addLayout(top);
  layout->addWidget(m_rows);
  layout->addWidget(m_note);
  hide();
}

void CulpritPanel::forget() {
  if (m_job != 0) m_document.jobs().cancel(m_job);
  m_job = 0;
  m_question = {};
  hide();
}

void CulpritPanel::clearRows() {
  while (QLayoutItem* item = m_grid->takeAt(0)) {
    delete item->widget();
    delete item;
  }
}

void CulpritPanel::explain(Question question) {
  forget();
  clearRows();
  m_question = std::move(question);
  m_title->setText(
      tr("What broke token %1, <b>%2</b>?").arg(m_question.number).arg(shown(m_question.token)));
  m_rows->hide();
  setVisible(true);
  if (&m_question.reference->model() != &m_question.variant->model()) {
    m_note->setText(
        tr("The right column is another file: tensors can only be restored from the "
           "model that is open."));
    return;
  }
  m_note->setText(tr("Looking for the tensors that give its divergence back…"));
  auto id = std::make_shared<int>(0);
  *id = m_document.jobs().start<TokenCulprits>(
      tr("Which tensor broke a token"), JobPriority::Chat, this,
      [asked = m_question](JobContext& job) {
        return findCulprits(*asked.reference, *asked.variant, asked.context, kShown, job);
      },
      [this, id](Result<TokenCulprits> found) {
        if (m_job != *id) return;
        m_job = 0;
        if (found) return show(*found);
        if (found.error().code == ErrorCode::Cancelled) return forget();
        m_note->setText(QString::fromStdString(found.error().message));
      },
      true);
  m_job = *id;
}

void CulpritPanel::show(const TokenCulprits& found) {
  m_title->setText(tr("What broke token %1, <b>%2</b>? It lies %3 nats from the reference.")
                       .arg(m_question.number)
                       .arg(shown(m_question.token), formatKld(found.kld)));
  for (size_t i = 0; i < found.best.size(); ++i) addRow(int(i), found.best[i], found.kld);
  m_rows->setVisible(!found.best.empty());
  if (found.best.empty()) {
    m_note->setText(found.measured == 0
                        ? tr("No tensor that is encoded moves this token away from the reference.")
                        : tr("None alone: %n tensor(s) were restored on trial, and the token came "
                             "no closer.",
                             nullptr, int(found.measured)));
    return;
  }
  m_note->setText(tr(
      "Each measured on its own, with the tensor as the source has it; %n were tried, those that "
      "a gradient calls likeliest. What several give back together is not their sum.",
      nullptr, int(found.measured)));
}

void CulpritPanel::addRow(int row, const Culprit& culprit, double before) {
  const QString name = QString::fromStdString(m_document.model().tensors()[culprit.tensor].name);
  auto* tensor = makeLabel(name, "", m_rows);
  tensor->setObjectName("culpritName");
  m_grid->addWidget(tensor, row, 0);
  m_grid->addWidget(
      makeLabel(fromView(m_question.variant->codecOf(culprit.tensor)->title), "faint", m_rows), row,
      1);
  const double gain = before - culprit.kld;
  m_grid->addWidget(
      makeLabel(tr("gives back %1 nats (%2)").arg(formatKld(gain), formatPercent(gain / before)),
                "", m_rows),
      row, 2);
  m_grid->setColumnStretch(3, 1);
  if (!m_question.ofPlan) return;
  auto* restore =
      makeButton(tr("Restore in the plan"), "restoreCulpritButton", Rank::Plain, m_rows);
  restore->setAccessibleName(tr("Restore %1 in the plan").arg(name));
  m_grid->addWidget(restore, row, 4);
  connect(restore, &QPushButton::clicked, this, [this, restore, name, index = culprit.tensor] {
    const Recipe recipe = m_document.withCodec({index}, {}, "restored for a token");
    if (m_document.setRecipe(recipe, tr("Restore %1").arg(name))) restore->setEnabled(false);
  });
}

}  // namespace bitloom

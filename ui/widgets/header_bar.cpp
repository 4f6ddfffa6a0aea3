// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/header_bar.h"

#include <QHBoxLayout>
#include <cmath>

#include "ui/format.h"
#include "ui/theme.h"
#include "ui/widgets/backend_badge.h"
#include "ui/widgets/card.h"

namespace bitloom {

HeaderBar::HeaderBar(Document& document, QWidget* parent) : QWidget(parent), m_document(document) {
  setObjectName("headerBar");
  setProperty("surface", "panel");
  setAttribute(Qt::WA_StyledBackground);
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(20, 8, 20, 8);
  layout->setSpacing(0);
  m_model = addPair(layout, "model", "title", Qt::AlignLeft);
  layout->addStretch(1);
  m_size = addPair(layout, "size", "number", Qt::AlignRight);
  layout->addSpacing(40);
  m_damage = addPair(layout, "damage", "number", Qt::AlignHCenter);
  layout->addSpacing(40);
  layout->addWidget(new BackendBadge(document.devices(), this));

  connect(&document, &Document::modelChanged, this, &HeaderBar::showModel);
  connect(&document, &Document::planChanged, this, &HeaderBar::showPlan);
  connect(&document, &Document::damageChanged, this, &HeaderBar::showDamage);
  showModel();
}

HeaderBar::Pair HeaderBar::addPair(QHBoxLayout* layout, const char* name, const char* tone,
                                   Qt::Alignment alignment) {
  auto* column = new QVBoxLayout;
  column->setSpacing(1);
  Pair pair{makeLabel({}, tone, this), makeLabel({}, "faint", this)};
  pair.above->setObjectName(QString("%1Label").arg(name));
  pair.below->setObjectName(QString("%1NoteLabel").arg(name));
  for (QLabel* label : {pair.above, pair.below}) {
    label->setAlignment(alignment | Qt::AlignVCenter);
    column->addWidget(label);
  }
  layout->addLayout(column);
  return pair;
}

void HeaderBar::showModel() {
  if (m_document.isOpen()) {
    m_model.above->setText(QString::fromStdString(m_document.model().name()));
    m_model.below->setText(m_document.modelSummary());
    m_model.above->setToolTip(QString::fromStdString(m_document.model().path().string()));
  } else {
    m_model.above->setText(tr("Bitloom"));
    m_model.below->setText(m_document.isOpening() ? tr("opening a model…")
                                                  : tr("drop a GGUF file to begin"));
  }
  showPlan();
  showDamage();
}

void HeaderBar::showPlan() {
  if (!m_document.isOpen()) {
    m_size.above->clear();
    m_size.below->clear();
    return;
  }
  const Plan& plan = m_document.plan();
  m_size.above->setText(formatGB(plan.fileBytes));
  m_size.below->setText(
      tr("%1 · %2").arg(formatGiB(plan.fileBytes), formatBpw(plan.bitsPerWeight)));
  m_size.above->setAccessibleName(tr("Size of the plan: %1").arg(m_size.above->text()));
  m_size.above->setToolTip(tr("%1 bytes, header included").arg(formatGrouped(plan.fileBytes)));
}

void HeaderBar::showDamage() {
  const Document::Damage& damage = m_document.damage();
  QString value = tr("ΔKLD –");
  if (m_document.isOpen() && std::isfinite(damage.value) &&
      damage.kind != Document::Damage::Kind::Unknown) {
    value = tr("ΔKLD %1").arg(formatKldError(damage.value, damage.error));
  }
  QString note, beside;
  const char* tone = "faint";
  const QString interval =
      tr("95 %: %1 … %2").arg(formatKld(damage.predicted.low), formatKld(damage.predicted.high));
  switch (damage.kind) {
    case Document::Damage::Kind::Unknown:
      note = damage.note;
      break;
    case Document::Damage::Kind::Predicted:
      note = std::isfinite(damage.predicted.low) ? tr("predicted · %1").arg(interval)
                                                 : tr("predicted from the scan");
      break;
    case Document::Damage::Kind::Measuring:
      note = tr("measuring…");
      break;
    case Document::Damage::Kind::Measured:
      tone = "good";
      note = tr("measured · %1 probe tokens · %2")
                 .arg(formatGrouped(damage.tokens), formatDuration(damage.seconds));
      if (std::isfinite(damage.predicted.low)) {
        beside =
            tr("\nPredicted before: %1 (%2).").arg(formatKld(damage.predicted.value), interval);
      }
      break;
  }
  if (!m_document.isOpen()) value.clear(), note.clear();
  m_damage.above->setText(value);
  m_damage.below->setText(fontMetrics().elidedText(note, Qt::ElideRight, 280));
  m_damage.below->setToolTip(note);
  m_damage.above->setToolTip(
      tr("How far the plan's next-token distributions lie from the source's: mean KL divergence "
         "in nats per token, ± standard error over probe sequences.") +
      beside);
  setTone(m_damage.below, tone);
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/error_banner.h"

#include <QAccessible>
#include <QApplication>
#include <QClipboard>
#include <QHBoxLayout>
#include <QVBoxLayout>

#include "ui/settings.h"
#include "ui/theme.h"
#include "ui/widgets/card.h"

namespace bitloom {
namespace {

// A card as wide as the page's; its margins vanish with it.
QHBoxLayout* cardRow(QWidget* owner) {
  auto* outer = new QVBoxLayout(owner);
  outer->setContentsMargins(kMargin, kMargin, kMargin, 0);
  auto* card = new QFrame(owner);
  card->setProperty("card", true);
  outer->addWidget(card);
  auto* row = new QHBoxLayout(card);
  row->setContentsMargins(14, 6, 8, 6);
  return row;
}

}  // namespace

ErrorBanner::ErrorBanner(QWidget* parent) : QWidget(parent), m_text(makeLabel({}, "", this)) {
  setObjectName("errorBanner");
  QHBoxLayout* layout = cardRow(this);
  layout->addWidget(makeLabel("▲", "warn", this), 0, Qt::AlignTop);
  m_text->setObjectName("errorLabel");
  m_text->setWordWrap(true);
  m_text->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  layout->addWidget(m_text, 1);
  auto* copy = makeButton(tr("Copy"), "copyErrorButton", Rank::Link, this);
  auto* close = makeButton(tr("Dismiss"), "dismissErrorButton", Rank::Link, this);
  layout->addWidget(copy, 0, Qt::AlignTop);
  layout->addWidget(close, 0, Qt::AlignTop);
  connect(copy, &QPushButton::clicked, this,
          [this] { QApplication::clipboard()->setText(m_text->text()); });
  connect(close, &QPushButton::clicked, this, &QWidget::hide);
  hide();
}

void ErrorBanner::showError(const QString& what, const QString& message) {
  m_text->setText(tr("%1: %2").arg(what, message));
  setAccessibleName(m_text->text());
  show();
  QAccessibleEvent alert(this, QAccessible::Alert);
  QAccessible::updateAccessibility(&alert);
}

HintBar::HintBar(QWidget* parent) : QWidget(parent) {
  setObjectName("hintBar");
  QHBoxLayout* layout = cardRow(this);
  layout->setSpacing(18);
  const QStringList steps = {tr("<b>1</b>  Look: bright cells suffer most."),
                             tr("<b>2</b>  Drag a bar or the budget; release to measure."),
                             tr("<b>3</b>  Quantize, chat with it, export.")};
  for (const QString& step : steps) {
    auto* label = makeLabel(step, "", this);
    label->setTextFormat(Qt::RichText);
    layout->addWidget(label);
  }
  layout->addStretch();
  auto* close = makeButton(tr("Got it"), "dismissHintButton", Rank::Link, this);
  layout->addWidget(close);
  connect(close, &QPushButton::clicked, this, [this] {
    Settings().setValue("hint/dismissed", true);
    hide();
  });
}

bool HintBar::isWanted() { return !Settings().value("hint/dismissed", false).toBool(); }

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/first_hint.h"

#include <QHBoxLayout>
#include <QPainter>
#include <QVBoxLayout>

#include "ui/settings.h"
#include "ui/theme.h"
#include "ui/widgets/card.h"

namespace bitloom {
namespace {

constexpr const char* kKey = "loom/hintDismissed";

}  // namespace

FirstHint::FirstHint(QWidget* parent) : QFrame(parent) {
  setObjectName("firstHint");
  setAccessibleName(tr("First steps"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(20, 14, 20, 14);
  layout->setSpacing(8);
  layout->addWidget(makeLabel(tr("Three steps to a smaller model"), "heading"));
  const QString steps[] = {
      tr("1.  Look: bright cells hurt most when their bits go. Hover one for its numbers."),
      tr("2.  Drag: a bar's top for one block, the size slider for everything. Undo with Ctrl+Z."),
      tr("3.  Keep: the number turns from predicted to measured; then Quantize, or Chat with it."),
  };
  for (const QString& step : steps) {
    auto* label = makeLabel(step);
    label->setWordWrap(true);
    layout->addWidget(label);
  }
  auto* row = new QHBoxLayout;
  row->addStretch();
  auto* button = makeButton(tr("Got it"), "dismissHintButton", Rank::Primary);
  connect(button, &QPushButton::clicked, this, &FirstHint::dismiss);
  row->addWidget(button);
  layout->addLayout(row);
}

bool FirstHint::isDismissed() { return Settings().value(kKey, false).toBool(); }

void FirstHint::dismiss() {
  Settings().setValue(kKey, true);
  hide();
}

void FirstHint::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setPen(QPen(theme().accent, 1.5));
  painter.setBrush(theme().panel);
  painter.drawRoundedRect(QRectF(rect()).adjusted(1, 1, -1, -1), kRadius, kRadius);
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/rail.h"

#include <QButtonGroup>
#include <QMenu>
#include <QPainter>
#include <QVBoxLayout>

#include "ui/theme.h"
#include "ui/widgets/card.h"

namespace bitloom {
namespace {
constexpr int kWidth = 80;
constexpr int kIcon = 24;
}  // namespace

RailButton::RailButton(const QString& icon, const QString& label, QWidget* parent)
    : QAbstractButton(parent), m_icon(icon) {
  setText(label);
  setAccessibleName(label);
  setCheckable(true);
  setFocusPolicy(Qt::StrongFocus);
  setCursor(Qt::PointingHandCursor);
  setAttribute(Qt::WA_Hover);
}

QSize RailButton::sizeHint() const { return {kWidth, kIcon + fontMetrics().height() + 18}; }

void RailButton::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const Theme& t = theme();
  const QRectF pill = QRectF(rect()).adjusted(8, 1, -8, -1);
  if (isChecked() || underMouse()) {
    QColor fill = t.accentSoft;
    if (!isChecked()) fill.setAlphaF(0.5f);
    painter.setPen(Qt::NoPen);
    painter.setBrush(fill);
    painter.drawRoundedRect(pill, kRadius, kRadius);
  }
  if (isChecked()) {
    painter.setPen(Qt::NoPen);
    painter.setBrush(t.accent);
    painter.drawRoundedRect(QRectF(0, pill.top() + 7, 3, pill.height() - 14), 1.5, 1.5);
  }
  if (hasFocus()) {
    painter.setPen(QPen(t.accent, 1.5));
    painter.setBrush(Qt::NoBrush);
    painter.drawRoundedRect(pill.adjusted(1, 1, -1, -1), kRadius, kRadius);
  }
  const QColor colour = isChecked() ? t.accent : t.faint;
  const QPixmap icon = tintedPixmap(m_icon, kIcon, colour, devicePixelRatioF());
  const bool labelled = !text().isEmpty();
  const int top = labelled ? 8 : (height() - kIcon) / 2;
  painter.drawPixmap(QPointF((width() - kIcon) / 2.0, top), icon);
  painter.setPen(colour);
  painter.drawText(QRect(0, top + kIcon + 1, width(), fontMetrics().height()), Qt::AlignCenter,
                   text());
}

Rail::Rail(QMenu* menu, QWidget* parent) : QWidget(parent), m_group(new QButtonGroup(this)) {
  setProperty("surface", "panel");
  setAttribute(Qt::WA_StyledBackground);
  setFixedWidth(kWidth);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 16, 0, 8);
  layout->setSpacing(6);
  layout->addStretch();
  auto* button = new RailButton("menu", {}, this);
  button->setObjectName("menuRailButton");
  button->setCheckable(false);
  button->setAccessibleName(tr("Menu"));
  button->setToolTip(tr("Menu (F10)"));
  button->setShortcut(Qt::Key_F10);
  layout->addWidget(button);
  connect(button, &QAbstractButton::clicked, this, [button, menu] {
    menu->popup(
        button->mapToGlobal(QPoint(button->width(), button->height() - menu->sizeHint().height())));
  });
  connect(m_group, &QButtonGroup::idClicked, this, &Rail::placeChosen);
}

void Rail::addPlace(const QString& icon, const QString& label, const QString& shortcut) {
  auto* button = new RailButton(icon, label, this);
  button->setObjectName(icon + "RailButton");
  button->setToolTip(tr("%1 (%2)").arg(label, shortcut));
  m_group->addButton(button, m_places);
  static_cast<QVBoxLayout*>(layout())->insertWidget(m_places, button);
  ++m_places;
}

void Rail::setCurrent(int place) {
  if (auto* button = m_group->button(place)) button->setChecked(true);
}

}  // namespace bitloom

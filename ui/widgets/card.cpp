// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/card.h"

#include <QPainter>
#include <QPixmap>
#include <QStyle>
#include <QSvgRenderer>
#include <QVBoxLayout>

namespace bitloom {

Card::Card(const QString& title, QWidget* parent) : QFrame(parent), m_body(new QVBoxLayout(this)) {
  setProperty("card", true);
  m_body->setContentsMargins(16, 12, 16, 14);
  m_body->setSpacing(8);
  if (title.isEmpty()) return;
  m_body->addWidget(makeLabel(title, "heading", this));
  setAccessibleName(title);
}

QLabel* makeLabel(const QString& text, const char* tone, QWidget* parent) {
  auto* label = new QLabel(text, parent);
  label->setTextFormat(Qt::PlainText);
  label->setProperty("tone", QString::fromLatin1(tone));
  return label;
}

void setTone(QLabel* label, const char* tone) {
  const QString name = QString::fromLatin1(tone);
  if (label->property("tone").toString() == name) return;
  label->setProperty("tone", name);
  label->style()->unpolish(label);
  label->style()->polish(label);
}

QPushButton* makeButton(const QString& text, const char* objectName, Rank rank, QWidget* parent) {
  auto* button = new QPushButton(text, parent);
  button->setObjectName(QString::fromLatin1(objectName));
  button->setAutoDefault(false);
  if (rank == Rank::Primary) button->setProperty("primary", true);
  if (rank == Rank::Link) {
    button->setProperty("link", true);
    button->setCursor(Qt::PointingHandCursor);
  }
  return button;
}

QFrame* makeRule(QWidget* parent) {
  auto* rule = new QFrame(parent);
  rule->setProperty("rule", true);
  rule->setFixedHeight(1);
  return rule;
}

QPixmap tintedPixmap(const QString& name, int size, const QColor& colour, qreal ratio) {
  QPixmap pixmap(QSize(size, size) * ratio);
  pixmap.fill(Qt::transparent);
  QSvgRenderer renderer(":/icons/" + name + ".svg");
  QPainter painter(&pixmap);
  painter.setRenderHint(QPainter::Antialiasing);
  renderer.render(&painter, QRectF(pixmap.rect()));
  painter.setCompositionMode(QPainter::CompositionMode_SourceIn);
  painter.fillRect(pixmap.rect(), colour);
  painter.end();
  pixmap.setDevicePixelRatio(ratio);
  return pixmap;
}

QIcon tintedIcon(const QString& name, const QColor& colour) {
  QIcon icon;
  for (const qreal ratio : {1.0, 2.0}) icon.addPixmap(tintedPixmap(name, 20, colour, ratio));
  return icon;
}

}  // namespace bitloom

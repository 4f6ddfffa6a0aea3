// SPDX-License-Identifier: GPL-3.0-or-later
// The window's small building stones: rounded cards, labels by tone, buttons by rank, tinted icons.
// Returned widgets belong to their parent or to the layout they are put in.
#pragma once
#include <QColor>
#include <QFrame>
#include <QIcon>
#include <QLabel>
#include <QPushButton>
#include <QString>

class QVBoxLayout;

namespace bitloom {

// A rounded panel with a vertical layout inside; a heading when `title` is not empty.
class Card : public QFrame {
  Q_OBJECT
 public:
  explicit Card(const QString& title = {}, QWidget* parent = nullptr);
  QVBoxLayout* body() const { return m_body; }

 private:
  QVBoxLayout* m_body;
};

// Tone names: ui/theme.h; empty is plain text.
QLabel* makeLabel(const QString& text, const char* tone = "", QWidget* parent = nullptr);
void setTone(QLabel* label, const char* tone);  // repaints only when it differs

enum class Rank { Plain, Primary, Link };
QPushButton* makeButton(const QString& text, const char* objectName, Rank rank = Rank::Plain,
                        QWidget* parent = nullptr);

QFrame* makeRule(QWidget* parent = nullptr);  // a horizontal hair line

// Icon `:/icons/<name>.svg` in one colour, sharp at the given device pixel ratio.
QPixmap tintedPixmap(const QString& name, int size, const QColor& colour, qreal ratio);
QIcon tintedIcon(const QString& name, const QColor& colour);

}  // namespace bitloom

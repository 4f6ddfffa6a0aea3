// SPDX-License-Identifier: GPL-3.0-or-later
// The places of the window, at its left edge, with a menu button at the bottom. One is current.
#pragma once
#include <QAbstractButton>
#include <QWidget>

class QButtonGroup;
class QMenu;

namespace bitloom {

class RailButton : public QAbstractButton {
  Q_OBJECT
 public:
  RailButton(const QString& icon, const QString& label, QWidget* parent);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  QString m_icon;
};

class Rail : public QWidget {
  Q_OBJECT
 public:
  explicit Rail(QMenu* menu, QWidget* parent = nullptr);
  // The object's name is `<icon>RailButton`.
  void addPlace(const QString& icon, const QString& label, const QString& shortcut);
  void setCurrent(int place);

 signals:
  void placeChosen(int place);

 private:
  QButtonGroup* m_group;
  int m_places = 0;
};

}  // namespace bitloom

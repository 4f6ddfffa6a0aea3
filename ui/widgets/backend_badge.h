// SPDX-License-Identifier: GPL-3.0-or-later
// What measures, in the header: the CPU or a device of this machine, its memory, and why it does
// not do all of it. Its menu chooses.
#pragma once
#include <QTimer>
#include <QWidget>

class QLabel;
class QMenu;
class QPushButton;

namespace bitloom {

class Devices;

class BackendBadge : public QWidget {
  Q_OBJECT

 public:
  explicit BackendBadge(Devices& devices, QWidget* parent = nullptr);

 protected:
  void showEvent(QShowEvent* event) override;  // looks for devices

 private:
  void refresh();
  void showMemory();
  void openMenu();
  void fillMenu(QMenu* menu);
  bool onCpu() const;
  QString tooltip() const;

  Devices& m_devices;
  QLabel* m_dot;
  QPushButton* m_choice;
  QLabel* m_below;  // memory, or that not all is computed where it should be
  QTimer m_timer;   // memory in use
};

}  // namespace bitloom

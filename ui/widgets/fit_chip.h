// SPDX-License-Identifier: GPL-3.0-or-later
// A memory budget as a small button: a tick when the plan fits, a cross when not, never by colour
// alone.
#pragma once
#include <QAbstractButton>

namespace bitloom {

class FitChip : public QAbstractButton {
  Q_OBJECT

 public:
  explicit FitChip(QWidget* parent = nullptr);
  void setBudget(uint64_t bytes);
  uint64_t budget() const { return m_budget; }
  void setFits(bool fits, const QString& arithmetic);
  bool fits() const { return m_fits; }
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  QString label() const;
  uint64_t m_budget = 0;
  bool m_fits = true;
};

}  // namespace bitloom

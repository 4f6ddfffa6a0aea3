// SPDX-License-Identifier: GPL-3.0-or-later
// The likeliest next tokens after a probe text: the reference's share above this plan's.
#pragma once
#include <QString>
#include <QWidget>
#include <vector>

namespace bitloom {

struct ProbeRow {
  QString token;
  double reference = 0;  // shares, 0 … 1
  double variant = 0;
};

class ProbeBars : public QWidget {
  Q_OBJECT

 public:
  explicit ProbeBars(QWidget* parent = nullptr);
  void setRows(std::vector<ProbeRow> rows);
  // Shown instead of bars while there are none.
  void setEmptyText(const QString& text);
  const std::vector<ProbeRow>& rows() const { return m_rows; }

  static constexpr int kRows = 5;  // where there is room; at least 3
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  std::vector<ProbeRow> m_rows;
  QString m_emptyText;
};

}  // namespace bitloom

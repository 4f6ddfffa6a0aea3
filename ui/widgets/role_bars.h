// SPDX-License-Identifier: GPL-3.0-or-later
// Where a model's bytes are: one bar for each role.
#pragma once
#include <QWidget>
#include <vector>

namespace bitloom {

class RoleBars : public QWidget {
  Q_OBJECT
 public:
  struct Row {
    QString role;
    uint64_t bytes = 0;
  };
  using QWidget::QWidget;
  void setRows(std::vector<Row> rows);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  std::vector<Row> m_rows;
};

}  // namespace bitloom

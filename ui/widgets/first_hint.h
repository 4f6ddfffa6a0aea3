// SPDX-License-Identifier: GPL-3.0-or-later
// Three steps for the first start, over the page's lower part, until dismissed for good.
#pragma once
#include <QFrame>

namespace bitloom {

class FirstHint : public QFrame {
  Q_OBJECT

 public:
  explicit FirstHint(QWidget* parent);
  static bool isDismissed();
  void dismiss();  // for good

 protected:
  void paintEvent(QPaintEvent* event) override;
};

}  // namespace bitloom

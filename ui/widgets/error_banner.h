// SPDX-License-Identifier: GPL-3.0-or-later
// What went wrong, at the top of the page where it happened: selectable, copyable, dismissible.
#pragma once
#include <QLabel>
#include <QWidget>

namespace bitloom {

class ErrorBanner : public QWidget {
  Q_OBJECT
 public:
  explicit ErrorBanner(QWidget* parent = nullptr);  // hidden
  void showError(const QString& what, const QString& message);
  QString text() const { return m_text->text(); }

 private:
  QLabel* m_text;
};

// Three steps for those who are new; dismissed for good by its button.
class HintBar : public QWidget {
  Q_OBJECT
 public:
  explicit HintBar(QWidget* parent = nullptr);
  static bool isWanted();
};

}  // namespace bitloom

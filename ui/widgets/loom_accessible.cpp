// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/loom_accessible.h"

#include <QAccessible>
#include <QAccessibleWidget>
#include <QWidget>

namespace bitloom {
namespace {

class Interface : public QAccessibleWidget {
 public:
  explicit Interface(QWidget* widget) : QAccessibleWidget(widget, QAccessible::Table) {}

  QString text(QAccessible::Text kind) const override {
    const auto* source = dynamic_cast<const AccessibleText*>(widget());
    if (source && kind == QAccessible::Name) return source->spokenName();
    if (source && kind == QAccessible::Value) return source->spokenValue();
    if (source && kind == QAccessible::Description) return source->spokenValue();
    return QAccessibleWidget::text(kind);
  }
};

QAccessibleInterface* make(const QString&, QObject* object) {
  auto* widget = qobject_cast<QWidget*>(object);
  if (!widget || !dynamic_cast<AccessibleText*>(widget)) return nullptr;
  return new Interface(widget);
}

}  // namespace

void installLoomAccessibility() {
  static const bool installed = [] {
    QAccessible::installFactory(make);
    return true;
  }();
  (void)installed;
}

void announceValue(QWidget& widget) {
  const auto* source = dynamic_cast<const AccessibleText*>(&widget);
  if (!source || !QAccessible::isActive()) return;
  QAccessibleValueChangeEvent event(&widget, source->spokenValue());
  QAccessible::updateAccessibility(&event);
}

}  // namespace bitloom

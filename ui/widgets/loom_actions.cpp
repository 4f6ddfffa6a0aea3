// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/loom_actions.h"

#include <QContextMenuEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QWheelEvent>
#include <QWidget>
#include <algorithm>

#include "ui/document.h"
#include "ui/models/loom_edits.h"
#include "ui/models/loom_selection.h"

namespace bitloom {
namespace {

constexpr int kWheelNotch = 120;  // eighths of a degree, Qt's convention

QString text(std::string_view view) {
  return QString::fromUtf8(view.data(), qsizetype(view.size()));
}

}  // namespace

LoomActions::LoomActions(Document& document, LoomSelection& selection, QObject* parent)
    : QObject(parent), m_document(document), m_selection(selection) {}

void LoomActions::watch(QWidget* widget) { widget->installEventFilter(this); }

QString LoomActions::selectionName() const {
  const auto tensors = m_selection.list();
  if (tensors.size() != 1) return tr("%1 tensors").arg(tensors.size());
  return QString::fromStdString(m_document.model().tensors()[tensors.front()].name);
}

void LoomActions::step(int rungs) {
  if (!m_document.isOpen() || m_selection.isEmpty()) return;
  const CodecChoices choices = stepped(m_document, m_selection.list(), rungs);
  if (choices.empty()) return;
  const Recipe recipe =
      assign(m_document.recipe(), m_document.model(), choices, rungs > 0 ? "raised" : "lowered");
  m_document.setRecipe(recipe, (rungs > 0 ? tr("raise %1") : tr("lower %1")).arg(selectionName()));
}

void LoomActions::setCodec(const QString& name) {
  if (!m_document.isOpen() || m_selection.isEmpty()) return;
  const CodecChoices choices = allSetTo(m_document, m_selection.list(), name.toStdString());
  if (choices.empty()) return;
  const Recipe recipe = assign(m_document.recipe(), m_document.model(), choices, "set");
  m_document.setRecipe(recipe, tr("set %1 to %2").arg(selectionName(), name));
}

void LoomActions::setBits(double bits) {
  if (const Codec* rung = rungNear(m_document.ladder(), bits)) setCodec(text(rung->name));
}

void LoomActions::togglePin() {
  if (!m_document.isOpen() || m_selection.isEmpty()) return;
  const auto tensors = m_selection.list();
  const bool all = std::all_of(tensors.begin(), tensors.end(),
                               [this](size_t tensor) { return m_document.isPinned(tensor); });
  m_document.setRecipe(m_document.withPin(tensors, !all),
                       (all ? tr("free %1") : tr("pin %1")).arg(selectionName()));
}

void LoomActions::reset() {
  if (!m_document.isOpen() || m_selection.isEmpty()) return;
  const CodecChoices choices = allSetTo(m_document, m_selection.list(), "");
  if (choices.empty()) return;
  const Recipe recipe = assign(m_document.recipe(), m_document.model(), choices, "reset");
  m_document.setRecipe(recipe, tr("reset %1").arg(selectionName()));
}

void LoomActions::fill(QMenu& menu) {
  menu.addSection(selectionName());
  menu.addAction(tr("Raise\t+"), this, [this] { step(1); });
  menu.addAction(tr("Lower\t−"), this, [this] { step(-1); });
  QMenu* set = menu.addMenu(tr("Set to"));
  for (const Codec* codec : m_document.choices()) {
    const QString name = text(codec->name);
    set->addAction(tr("%1 · %2 bits").arg(text(codec->title)).arg(codec->bits), this,
                   [this, name] { setCodec(name); });
  }
  menu.addSeparator();
  const auto tensors = m_selection.list();
  const bool pinned = std::all_of(tensors.begin(), tensors.end(),
                                  [this](size_t tensor) { return m_document.isPinned(tensor); });
  menu.addAction(pinned ? tr("Free\tP") : tr("Pin\tP"), this, [this] { togglePin(); });
  menu.addAction(tr("Reset to source"), this, [this] { reset(); });
}

bool LoomActions::handleKey(const QKeyEvent& event) {
  if (event.modifiers() & (Qt::ControlModifier | Qt::AltModifier | Qt::MetaModifier)) return false;
  const int key = event.key();
  if (key == Qt::Key_Escape) {
    if (m_selection.isEmpty() || m_document.isPreviewing()) return false;
    m_selection.clear();
    return true;
  }
  if (!m_document.isOpen() || m_selection.isEmpty()) return false;
  if (key == Qt::Key_Plus || key == Qt::Key_Equal) {
    step(1);
  } else if (key == Qt::Key_Minus) {
    step(-1);
  } else if (key == Qt::Key_P) {
    togglePin();
  } else if (key >= Qt::Key_1 && key <= Qt::Key_9) {
    setBits(key - Qt::Key_0);
  } else {
    return false;
  }
  return true;
}

bool LoomActions::eventFilter(QObject* watched, QEvent* event) {
  switch (event->type()) {
    case QEvent::KeyPress:
      return handleKey(*static_cast<QKeyEvent*>(event));
    case QEvent::Wheel: {
      auto* wheel = static_cast<QWheelEvent*>(event);
      if (!(wheel->modifiers() & Qt::ControlModifier)) return false;
      m_wheel += wheel->angleDelta().y();
      const int rungs = m_wheel / kWheelNotch;
      m_wheel -= rungs * kWheelNotch;
      if (rungs != 0) step(rungs);
      return true;
    }
    case QEvent::ContextMenu: {
      if (!m_document.isOpen() || m_selection.isEmpty()) return false;
      auto* menu = new QMenu(qobject_cast<QWidget*>(watched));
      menu->setObjectName("loomMenu");
      menu->setAttribute(Qt::WA_DeleteOnClose);
      fill(*menu);
      menu->popup(static_cast<QContextMenuEvent*>(event)->globalPos());
      return true;
    }
    default:
      return false;
  }
}

}  // namespace bitloom

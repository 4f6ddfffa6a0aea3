// SPDX-License-Identifier: GPL-3.0-or-later
// What can be done to the Loom's selection, wherever the hands are: keys (+ − step, digits set
// bits, P pins, Esc clears), Ctrl+wheel, and one context menu. Watches the widgets it is given and
// turns every change into one undo step of the document.
#pragma once
#include <QObject>

class QContextMenuEvent;
class QKeyEvent;
class QMenu;
class QWidget;

namespace bitloom {

class Document;
class LoomSelection;

class LoomActions : public QObject {
  Q_OBJECT

 public:
  LoomActions(Document& document, LoomSelection& selection, QObject* parent = nullptr);

  void watch(QWidget* widget);
  void fill(QMenu& menu);

  void step(int rungs);  // raise (> 0) or lower
  void setCodec(const QString& name);
  void setBits(double bits);  // nearest rung
  void togglePin();
  void reset();  // back to the source's own type

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  bool handleKey(const QKeyEvent& event);
  QString selectionName() const;  // "7 tensors", or the tensor's name

  Document& m_document;
  LoomSelection& m_selection;
  int m_wheel = 0;  // eighths of a degree not yet spent
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The one selection of the Loom: a set of tensors (indices in Model::tensors()) that heatmap,
// faders and plan table show and change. Window's thread.
#pragma once
#include <QObject>
#include <set>
#include <vector>

namespace bitloom {

class LoomSelection : public QObject {
  Q_OBJECT

 public:
  enum class Mode { Replace, Add, Toggle };

  using QObject::QObject;

  const std::set<size_t>& tensors() const { return m_tensors; }
  std::vector<size_t> list() const { return {m_tensors.begin(), m_tensors.end()}; }
  bool isEmpty() const { return m_tensors.empty(); }
  bool contains(size_t tensor) const { return m_tensors.count(tensor) > 0; }
  // True when there is at least one and all are selected.
  bool containsAll(const std::vector<size_t>& tensors) const;

  // Toggle removes the tensors when all of them are selected, and else adds them.
  void select(const std::vector<size_t>& tensors, Mode mode = Mode::Replace);
  void clear() { select({}); }

  // Mode that a click or key with these modifiers means: Shift adds, Ctrl toggles.
  static Mode modeFor(Qt::KeyboardModifiers modifiers);

 signals:
  void changed();

 private:
  std::set<size_t> m_tensors;
};

}  // namespace bitloom

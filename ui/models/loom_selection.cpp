// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/loom_selection.h"

#include <algorithm>

namespace bitloom {

bool LoomSelection::containsAll(const std::vector<size_t>& tensors) const {
  return !tensors.empty() && std::all_of(tensors.begin(), tensors.end(),
                                         [&](size_t tensor) { return contains(tensor); });
}

void LoomSelection::select(const std::vector<size_t>& tensors, Mode mode) {
  std::set<size_t> next;
  if (mode != Mode::Replace) next = m_tensors;
  if (mode == Mode::Toggle && containsAll(tensors)) {
    for (const size_t tensor : tensors) next.erase(tensor);
  } else {
    next.insert(tensors.begin(), tensors.end());
  }
  if (next == m_tensors) return;
  m_tensors = std::move(next);
  emit changed();
}

LoomSelection::Mode LoomSelection::modeFor(Qt::KeyboardModifiers modifiers) {
  if (modifiers & Qt::ControlModifier) return Mode::Toggle;
  if (modifiers & Qt::ShiftModifier) return Mode::Add;
  return Mode::Replace;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The budget: size slider, size and bpw as numbers, which memories the plan fits, the key-value
// cache at a context, and "fit my machine". Every target is solved around the pins; before any scan
// the largest uniform codec that fits is taken, and the panel says so. Dragging previews at most 60
// times a second; release is one undo step.
#pragma once
#include <QTimer>
#include <QWidget>
#include <array>
#include <vector>

#include "core/allocator.h"
#include "core/recipe.h"

class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QSlider;

namespace bitloom {

class Document;
class FitChip;

// Four round budgets around what the model needs, largest first.
std::array<uint64_t, 4> niceBudgets(uint64_t ceiling);

class BudgetPanel : public QWidget {
  Q_OBJECT

 public:
  explicit BudgetPanel(Document& document, QWidget* parent = nullptr);

  bool isSolving() const { return m_solving; }  // false: uniform codecs only
  SizeRange range() const { return m_range; }
  uint64_t cacheBytes() const;  // at the chosen context; 0 when the model cannot run
  // One undo step; refusals come out as `failed`.
  void fitTo(uint64_t fileBytes, const QString& undoText);
  void fitMachine();

 signals:
  void failed(const QString& message);
  void said(const QString& message);  // what a button did, for people

 private:
  void buildSlider();
  void buildNumbers();
  void buildChips();
  void buildContext();
  void showModel();
  void showPlan();
  void updateRange();
  void updateChips();
  Result<Recipe> recipeFor(uint64_t fileBytes) const;
  void slide();
  void release();
  void takeSize();
  void takeBits();
  uint64_t sliderBytes() const;

  Document& m_document;
  SizeRange m_range;
  bool m_solving = false;
  bool m_showing = false;  // the slider follows the plan: not a drag
  bool m_touched = false;  // moved since the last step on the stack
  Recipe m_slid;           // last preview
  QTimer m_slideTimer;
  QTimer m_rangeTimer;
  QTimer m_commitTimer;  // keys on the slider have no release
  QSlider* m_slider = nullptr;
  QLabel* m_floor = nullptr;
  QLabel* m_exact = nullptr;
  QLabel* m_ceiling = nullptr;
  QLineEdit* m_size = nullptr;
  QLineEdit* m_bits = nullptr;
  QPushButton* m_fit = nullptr;
  QLabel* m_mode = nullptr;
  QComboBox* m_context = nullptr;
  QLabel* m_cache = nullptr;
  std::array<FitChip*, 4> m_chips{};
};

}  // namespace bitloom

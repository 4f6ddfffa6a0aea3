// SPDX-License-Identifier: GPL-3.0-or-later
// The Loom, the window's heart: heatmap, faders and plan table over one selection, and the budget
// beside them. The page listens to the document, hands snapshots to its widgets, and turns what the
// hands do into recipes.
#pragma once
#include <QTimer>
#include <QWidget>
#include <functional>
#include <optional>

#include "ui/document.h"
#include "ui/models/loom_grid.h"
#include "ui/models/pareto_points.h"
#include "ui/widgets/fader_bank.h"

class QCheckBox;
class QFrame;
class QLabel;
class QPushButton;
class QVBoxLayout;

namespace bitloom {

class BudgetPanel;
class HeatmapView;
class LoomActions;
class LoomSelection;
class ParetoChart;
class PlanTable;
class PlanTableView;
class ProbeBars;
class ScanBar;

class LoomPage : public QWidget {
  Q_OBJECT

 public:
  explicit LoomPage(Document& document, QWidget* parent = nullptr);

  LoomSelection& selection() { return *m_selection; }
  const LoomGrid& grid() const { return m_grid; }
  // Asks where a quantized file goes and calls back with the path; a file dialog unless replaced.
  using PathAsker = std::function<void(std::function<void(const QString&)> chosen)>;
  void setPathAsker(PathAsker ask) { m_askPath = std::move(ask); }
  void copyHeatmap();
  QString heatmapCsv() const;

 signals:
  void chatRequested();

 protected:
  void changeEvent(QEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;

 private:
  void build();
  QWidget* buildLeft();
  QWidget* buildHeatmapCard();
  QWidget* buildFaderCard();
  QWidget* buildTableCard();
  QWidget* buildSide();
  QWidget* buildNotice();
  void connectDocument();
  void connectHands();

  void showModel();
  void showPlan();
  void showCells();
  void showDamage();
  void showProbe();
  void showStatus();
  void showHoldTotal();
  void notice(const QString& message, bool failure);
  QString describe(size_t tensor) const;  // a cell, for tooltip and screen readers
  const Cell* cellOf(size_t tensor) const;
  QString savePath() const;

  void dragFaders(const FaderLevels& levels);
  void dropFaders(const FaderLevels& levels);
  Recipe faderRecipe(const FaderLevels& levels, std::vector<size_t>* moved = nullptr) const;
  QStringList bubble(const FaderLevels& levels) const;
  void togglePin(int column);
  void computePareto();
  void askPath();

  Document& m_document;
  LoomSelection* m_selection;
  LoomActions* m_actions;
  PlanTable* m_table;
  LoomGrid m_grid;
  PathAsker m_askPath;
  std::optional<Plan> m_dragged;    // plan before the drag
  std::optional<bool> m_holdCells;  // what "hold total" last knew
  ParetoPoints m_pareto;
  QTimer m_paretoTimer;
  int m_paretoJob = 0;
  std::map<std::string, std::string> m_paretoPins;

  QFrame* m_notice = nullptr;
  QLabel* m_noticeLabel = nullptr;
  ScanBar* m_scan = nullptr;
  HeatmapView* m_heatmap = nullptr;
  QLabel* m_status = nullptr;
  QLabel* m_cost = nullptr;
  QPushButton* m_cheaper = nullptr;
  FaderBank* m_faders = nullptr;
  QCheckBox* m_hold = nullptr;
  PlanTableView* m_tableView = nullptr;
  BudgetPanel* m_budget = nullptr;
  ParetoChart* m_chart = nullptr;
  QLabel* m_probeText = nullptr;
  ProbeBars* m_probe = nullptr;
  QLabel* m_probeLegend = nullptr;
  QLabel* m_words = nullptr;
  QLabel* m_tieNote = nullptr;
  QPushButton* m_quantize = nullptr;
  QPushButton* m_chat = nullptr;
};

}  // namespace bitloom

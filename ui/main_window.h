// SPDX-License-Identifier: GPL-3.0-or-later
// The window: rail, header, five pages, job strip; menus, shortcuts, files that are dropped on it.
#pragma once
#include <QMainWindow>
#include <array>

#include "ui/document.h"
#include "ui/theme.h"

class QMenu;
class QStackedWidget;

namespace bitloom {

class ErrorBanner;
class HintBar;
class Rail;
class RunsPage;

enum class Place { Model, Loom, Chat, Runs, Export };
constexpr int kPlaces = 5;

class MainWindow : public QMainWindow {
  Q_OBJECT
 public:
  explicit MainWindow(Document& document, QWidget* parent = nullptr);

  void setPlace(Place place);
  Place place() const;
  void setTheme(ThemeChoice choice);
  void hideHint();

 protected:
  void closeEvent(QCloseEvent* event) override;
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;

 private:
  void buildMenu();
  void buildPages();
  void buildFrame();
  QAction* addAct(QMenu* menu, const QString& text, const QKeySequence& keys, const char* name,
                  std::function<void()> slot);
  void addPage(QWidget* page);
  void openDialog();
  void openPath(const QString& path);
  void saveRecipe(bool ask);
  void rememberRecent(const QString& path);
  void fillRecent();
  void fillCached();
  void showTitle();
  void showError(const QString& what, const QString& message);

  Document& m_document;
  QMenu* m_menu = nullptr;
  QMenu* m_recent = nullptr;
  QMenu* m_cached = nullptr;
  Rail* m_rail = nullptr;
  HintBar* m_hint = nullptr;
  QStackedWidget* m_stack = nullptr;
  RunsPage* m_runs = nullptr;
  std::array<ErrorBanner*, kPlaces> m_banners{};
};

}  // namespace bitloom

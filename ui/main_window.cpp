// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/main_window.h"

#include <QActionGroup>
#include <QApplication>
#include <QCloseEvent>
#include <QDir>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QMenu>
#include <QMessageBox>
#include <QMimeData>
#include <QStackedWidget>
#include <QVBoxLayout>

#include "ui/model_caches.h"
#include "ui/pages/chat_page.h"
#include "ui/pages/export_page.h"
#include "ui/pages/loom_page.h"
#include "ui/pages/model_page.h"
#include "ui/pages/runs_page.h"
#include "ui/settings.h"
#include "ui/widgets/card.h"
#include "ui/widgets/error_banner.h"
#include "ui/widgets/header_bar.h"
#include "ui/widgets/job_strip.h"
#include "ui/widgets/rail.h"

namespace bitloom {
namespace {

constexpr int kRecent = 8;

QFrame* verticalRule() {
  QFrame* rule = makeRule();
  rule->setMinimumHeight(0);
  rule->setMaximumHeight(QWIDGETSIZE_MAX);
  rule->setFixedWidth(1);
  return rule;
}

}  // namespace

MainWindow::MainWindow(Document& document, QWidget* parent)
    : QMainWindow(parent), m_document(document) {
  setObjectName("mainWindow");
  setWindowIcon(QIcon(":/icons/bitloom.svg"));
  setAcceptDrops(true);
  setMinimumSize(1024, 640);
  buildMenu();
  buildFrame();
  buildPages();
  connect(&document, &Document::modelChanged, this, [this] {
    showTitle();
    rememberRecent(QString::fromStdString(m_document.model().path().string()));
  });
  connect(document.undoStack(), &QUndoStack::cleanChanged, this, &MainWindow::showTitle);
  connect(&document, &Document::failed, this, &MainWindow::showError);
  const Settings settings;
  if (!restoreGeometry(settings.value("window/geometry").toByteArray())) resize(1280, 800);
  setPlace(Place::Loom);
  showTitle();
}

QAction* MainWindow::addAct(QMenu* menu, const QString& text, const QKeySequence& keys,
                            const char* name, std::function<void()> slot) {
  auto* action = new QAction(text, this);
  action->setObjectName(name);
  action->setShortcut(keys);
  connect(action, &QAction::triggered, this, slot);
  menu->addAction(action);
  addAction(action);  // its shortcut works while the menu is closed
  return action;
}

void MainWindow::buildMenu() {
  m_menu = new QMenu(this);
  addAct(m_menu, tr("Open a model…"), QKeySequence::Open, "openAction", [this] { openDialog(); });
  m_recent = m_menu->addMenu(tr("Open recent"));
  connect(m_recent, &QMenu::aboutToShow, this, &MainWindow::fillRecent);
  m_cached = m_menu->addMenu(tr("Found on this machine"));
  connect(m_cached, &QMenu::aboutToShow, this, &MainWindow::fillCached);
  addAct(m_menu, tr("Open the built-in model"), {}, "openBuiltinAction",
         [this] { m_document.open("builtin"); });
  m_menu->addSeparator();
  addAct(m_menu, tr("Open a plan…"), {}, "openRecipeAction", [this] {
    const QString path =
        QFileDialog::getOpenFileName(this, tr("Open a plan"), {}, tr("Plans (*.json)"));
    if (!path.isEmpty()) m_document.loadRecipeFrom(path);
  });
  addAct(m_menu, tr("Save the plan"), QKeySequence::Save, "saveAction",
         [this] { saveRecipe(false); });
  addAct(m_menu, tr("Save the plan as…"), QKeySequence("Ctrl+Shift+S"), "saveAsAction",
         [this] { saveRecipe(true); });
  m_menu->addSeparator();
  QAction* undo = m_document.undoStack()->createUndoAction(this, tr("Undo"));
  undo->setObjectName("undoAction");
  undo->setShortcut(QKeySequence::Undo);
  QAction* redo = m_document.undoStack()->createRedoAction(this, tr("Redo"));
  redo->setObjectName("redoAction");
  redo->setShortcuts({QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")});
  for (QAction* action : {undo, redo}) {
    m_menu->addAction(action);
    addAction(action);
  }
  m_menu->addSeparator();
  QMenu* themes = m_menu->addMenu(tr("Theme"));
  auto* group = new QActionGroup(this);
  const auto current = ThemeChoice(Settings().value("window/theme", 0).toInt());
  const std::array<std::pair<ThemeChoice, QString>, 3> choices = {
      {{ThemeChoice::System, tr("As the system")},
       {ThemeChoice::Light, tr("Light")},
       {ThemeChoice::Dark, tr("Dark")}}};
  for (const auto& [choice, name] : choices) {
    QAction* action = themes->addAction(name);
    action->setCheckable(true);
    action->setChecked(choice == current);
    group->addAction(action);
    connect(action, &QAction::triggered, this, [this, value = choice] {
      Settings().setValue("window/theme", int(value));
      setTheme(value);
    });
  }
  m_menu->addSeparator();
  addAct(m_menu, tr("Quit"), QKeySequence("Ctrl+Q"), "quitAction", [this] { close(); });
}

void MainWindow::buildFrame() {
  auto* centre = new QWidget(this);
  centre->setProperty("surface", "page");
  centre->setAttribute(Qt::WA_StyledBackground);
  auto* across = new QHBoxLayout(centre);
  across->setContentsMargins(0, 0, 0, 0);
  across->setSpacing(0);
  m_rail = new Rail(m_menu, centre);
  across->addWidget(m_rail);
  across->addWidget(verticalRule());
  auto* down = new QVBoxLayout;
  down->setSpacing(0);
  down->addWidget(new HeaderBar(m_document, centre));
  down->addWidget(makeRule(centre));
  m_hint = new HintBar(centre);
  down->addWidget(m_hint);
  m_hint->setVisible(HintBar::isWanted());
  m_stack = new QStackedWidget(centre);
  down->addWidget(m_stack, 1);
  down->addWidget(makeRule(centre));
  auto* strip = new JobStrip(m_document.jobs(), centre);
  down->addWidget(strip);
  across->addLayout(down, 1);
  setCentralWidget(centre);
  centre->setFocusPolicy(Qt::ClickFocus);  // Tab begins at the rail, and nothing is lit before
  centre->setFocus();
  connect(m_rail, &Rail::placeChosen, this, [this](int place) { setPlace(Place(place)); });
  connect(strip, &JobStrip::runChosen, this, [this](qint64 run) {
    setPlace(Place::Runs);
    m_runs->selectRun(run);
  });
}

void MainWindow::buildPages() {
  const std::array<std::pair<QString, QString>, kPlaces> places = {{{"model", tr("Model")},
                                                                    {"loom", tr("Loom")},
                                                                    {"chat", tr("Chat")},
                                                                    {"runs", tr("Runs")},
                                                                    {"export", tr("Export")}}};
  for (int i = 0; i < kPlaces; ++i) {
    const QString keys = QString("Ctrl+%1").arg(i + 1);
    m_rail->addPlace(places[size_t(i)].first, places[size_t(i)].second, keys);
    auto* action = new QAction(places[size_t(i)].second, this);
    action->setShortcut(QKeySequence(keys));
    action->setObjectName(places[size_t(i)].first + "PlaceAction");
    connect(action, &QAction::triggered, this, [this, i] { setPlace(Place(i)); });
    addAction(action);
  }
  auto* model = new ModelPage(m_document);
  connect(model, &ModelPage::openWanted, this, &MainWindow::openDialog);
  addPage(model);
  auto* loom = new LoomPage(m_document, this);
  connect(loom, &LoomPage::chatRequested, this, [this] { setPlace(Place::Chat); });
  addPage(loom);
  addPage(new ChatPage(m_document, this));
  m_runs = new RunsPage(m_document);
  addPage(m_runs);
  addPage(new ExportPage(m_document));
}

void MainWindow::addPage(QWidget* page) {
  auto* holder = new QWidget;
  auto* layout = new QVBoxLayout(holder);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  auto* banner = new ErrorBanner(holder);
  layout->addWidget(banner);
  layout->addWidget(page, 1);
  m_banners[size_t(m_stack->count())] = banner;
  m_stack->addWidget(holder);
}

void MainWindow::setPlace(Place place) {
  m_stack->setCurrentIndex(int(place));
  m_rail->setCurrent(int(place));
}

Place MainWindow::place() const { return Place(m_stack->currentIndex()); }

void MainWindow::setTheme(ThemeChoice choice) {
  applyTheme(*qApp, choice);
  update();
}

void MainWindow::hideHint() { m_hint->hide(); }

void MainWindow::showTitle() {
  const QString name =
      m_document.isOpen() ? QString::fromStdString(m_document.model().name()) : QString();
  setWindowTitle(name.isEmpty() ? QString("Bitloom[*]") : tr("%1[*] – Bitloom").arg(name));
  setWindowModified(!m_document.undoStack()->isClean());
}

void MainWindow::showError(const QString& what, const QString& message) {
  m_banners[size_t(m_stack->currentIndex())]->showError(what, message);
}

void MainWindow::openDialog() {
  const QString folder = QFileInfo(Settings().value("recent").toStringList().value(0)).path();
  const QString path = QFileDialog::getOpenFileName(this, tr("Open a model"), folder,
                                                    tr("Models (*.gguf);;All files (*)"));
  if (!path.isEmpty()) openPath(path);
}

void MainWindow::openPath(const QString& path) {
  if (path.endsWith(".json")) {
    m_document.loadRecipeFrom(path);
  } else {
    m_document.open(path);
  }
}

void MainWindow::saveRecipe(bool ask) {
  QString path = m_document.recipePath();
  if (ask || path.isEmpty()) {
    path = QFileDialog::getSaveFileName(this, tr("Save the plan"), m_document.planLabel() + ".json",
                                        tr("Plans (*.json)"));
  }
  if (!path.isEmpty()) m_document.saveRecipeTo(path);
}

void MainWindow::rememberRecent(const QString& path) {
  Settings settings;
  QStringList recent = settings.value("recent").toStringList();
  recent.removeAll(path);
  recent.prepend(path);
  settings.setValue("recent", QStringList(recent.mid(0, kRecent)));
}

void MainWindow::fillRecent() {
  m_recent->clear();
  for (const QString& path : Settings().value("recent").toStringList()) {
    if (!QFileInfo::exists(path)) continue;
    QAction* action = m_recent->addAction(QFileInfo(path).fileName());
    action->setToolTip(path);
    connect(action, &QAction::triggered, this, [this, path] { openPath(path); });
  }
  if (m_recent->isEmpty()) m_recent->addAction(tr("Nothing yet"))->setEnabled(false);
}

void MainWindow::fillCached() {
  m_cached->clear();
  for (const CachedModel& model : findCachedModels(QDir::homePath())) {
    QAction* action = m_cached->addAction(tr("%1 · %2").arg(model.title, model.owner));
    connect(action, &QAction::triggered, this, [this, path = model.path] { openPath(path); });
  }
  if (m_cached->isEmpty()) m_cached->addAction(tr("Nothing found"))->setEnabled(false);
}

void MainWindow::closeEvent(QCloseEvent* event) {
  if (m_document.jobs().anyRunning(/*includingQuiet=*/false) && isVisible()) {
    const auto answer = QMessageBox::question(
        this, tr("Quit"),
        tr("A job is running. Stop it and quit? A scan keeps its cells; a file "
           "that is being written is dropped."));
    if (answer != QMessageBox::Yes) {
      event->ignore();
      return;
    }
  }
  Settings().setValue("window/geometry", saveGeometry());
  event->accept();
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  if (event->mimeData()->hasUrls()) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
  for (const QUrl& url : event->mimeData()->urls()) {
    if (!url.isLocalFile()) continue;
    openPath(url.toLocalFile());
    event->acceptProposedAction();
    return;  // any part of a split set opens all of it
  }
}

}  // namespace bitloom

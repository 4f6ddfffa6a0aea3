// SPDX-License-Identifier: GPL-3.0-or-later
// bitloom [MODEL]: the window. Makes the pool of threads, the cache of weights and the store, and
// hands them down.
#include <QApplication>
#include <QCommandLineParser>
#include <QFileInfo>
#include <QTimer>
#include <cstdio>

#include "core/io/mapping_guard.h"
#include "ui/document.h"
#include "ui/main_window.h"
#include "ui/plurals.h"
#include "ui/settings.h"
#include "ui/theme.h"

namespace {

using namespace bitloom;

constexpr int kSettle = 1500;      // ms from the open model to the picture
constexpr int kPictureLimit = 60;  // s for a model to open

struct Arguments {
  QString model;
  QString store;
  QString theme = "system";
  QString page;
  QString screenshot;
  QSize size;
};

std::optional<Arguments> parse(const QApplication& application) {
  QCommandLineParser parser;
  parser.setApplicationDescription("Fits a language model into a memory budget.");
  parser.addHelpOption();
  parser.addVersionOption();
  parser.addPositionalArgument("MODEL", "A GGUF file, or builtin.", "[MODEL]");
  parser.addOptions({{"store", "Database of runs.", "FILE"},
                     {"theme", "system, light or dark.", "NAME"},
                     {"page", "model, loom, chat, runs or export.", "NAME"},
                     {"screenshot", "Write a picture of the window and quit.", "FILE"},
                     {"size", "Of the window, as 1280x800.", "WxH"}});
  parser.process(application);
  Arguments arguments;
  arguments.model = parser.positionalArguments().value(0);
  arguments.store = parser.value("store");
  if (parser.isSet("theme")) arguments.theme = parser.value("theme");
  arguments.page = parser.value("page");
  arguments.screenshot = parser.value("screenshot");
  const QStringList sides = parser.value("size").split('x');
  if (sides.size() == 2) arguments.size = QSize(sides[0].toInt(), sides[1].toInt());
  const bool known =
      QStringList({"system", "light", "dark"}).contains(arguments.theme) &&
      QStringList({"", "model", "loom", "chat", "runs", "export"}).contains(arguments.page);
  if (!known) {
    std::fprintf(stderr, "bitloom: unknown theme or page; see bitloom --help\n");
    return std::nullopt;
  }
  return arguments;
}

ThemeChoice themeOf(const QString& name, bool given) {
  if (name == "light") return ThemeChoice::Light;
  if (name == "dark") return ThemeChoice::Dark;
  return given ? ThemeChoice::System : ThemeChoice(Settings().value("window/theme", 0).toInt());
}

// The model that was open last, if it is still there.
QString startModel(const Arguments& arguments) {
  if (!arguments.model.isEmpty()) return arguments.model;
  const QString last = Settings().value("recent").toStringList().value(0);
  return arguments.screenshot.isEmpty() && QFileInfo::exists(last) ? last : QString("builtin");
}

void takePicture(MainWindow& window, Document& document, const QString& path) {
  window.hideHint();
  auto* grab = new QTimer(&window);
  grab->setSingleShot(true);
  grab->setInterval(kSettle);
  QObject::connect(grab, &QTimer::timeout, &window, [&window, &document, grab, path] {
    if (document.jobs().anyRunning(true)) return grab->start();
    QApplication::exit(window.grab().save(path) ? 0 : 1);
  });
  QObject::connect(&document, &Document::modelChanged, grab, [grab] { grab->start(); });
  QObject::connect(&document, &Document::damageChanged, grab, [grab] { grab->start(); });
  QTimer::singleShot(kPictureLimit * 1000, &window, [] { QApplication::exit(1); });
}

}  // namespace

int main(int argc, char** argv) {
  guardMappings();
  QApplication application(argc, argv);
  QApplication::setApplicationName("bitloom");
  QApplication::setApplicationDisplayName("Bitloom");
  QApplication::setApplicationVersion(BITLOOM_VERSION);
  QApplication::setWindowIcon(QIcon(":/icons/bitloom.svg"));
  QApplication::setDesktopFileName("bitloom");
  Plurals plurals;
  QApplication::installTranslator(&plurals);
  const auto arguments = parse(application);
  if (!arguments) return 2;
  applyTheme(application, themeOf(arguments->theme, arguments->theme != "system"));

  const auto file = arguments->store.isEmpty()
                        ? ExperimentStore::defaultPath()
                        : std::filesystem::path(arguments->store.toStdString());
  auto store = ExperimentStore::open(file);
  if (!store) {
    std::fprintf(stderr, "bitloom: %s\n", store.error().message.c_str());
    return 1;
  }
  Workers workers;
  WeightCache weights(0);
  Document document(workers, weights, std::move(*store));
  MainWindow window(document);
  if (arguments->size.isValid()) window.resize(arguments->size);
  const QStringList places = {"model", "loom", "chat", "runs", "export"};
  if (!arguments->page.isEmpty()) window.setPlace(Place(places.indexOf(arguments->page)));
  if (!arguments->screenshot.isEmpty()) takePicture(window, document, arguments->screenshot);
  document.open(startModel(*arguments));
  window.show();
  return QApplication::exec();
}

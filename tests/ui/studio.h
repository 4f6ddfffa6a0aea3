// SPDX-License-Identifier: GPL-3.0-or-later
// A document on a store of its own, for window tests.
#pragma once
#include <QFileDialog>
#include <QLineEdit>
#include <QSignalSpy>
#include <QTest>
#include <memory>
#include <ostream>

#include "tests/support/paths.h"
#include "ui/document.h"
#include "ui/settings.h"

namespace bitloom {

// What a failed comparison shows.
inline void PrintTo(const Recipe& recipe, std::ostream* out) { *out << toJson(recipe); }

}  // namespace bitloom

namespace bitloom::test {

#ifdef __SANITIZE_ADDRESS__
constexpr int kPatience = 300000;
#else
constexpr int kPatience = 60000;  // ms; the machine may be busy
#endif

// Types a path into a file dialog and presses Return. Without the focus the dialog would shorten
// what is typed to the name of a file that it knows.
inline void typePath(QFileDialog& dialog, const std::filesystem::path& path) {
  auto* name = dialog.findChild<QLineEdit*>("fileNameEdit");
  ASSERT_NE(name, nullptr);
  ASSERT_TRUE(QTest::qWaitForWindowActive(&dialog));
  name->setFocus();
  ASSERT_TRUE(QTest::qWaitFor([&] { return name->hasFocus(); }, kPatience));
  name->selectAll();
  QTest::keyClicks(name, QString::fromStdString(path.string()));
  QTest::keyClick(name, Qt::Key_Return);
}

class Studio {
 public:
  explicit Studio(bool keepSettings = false) : weights(uint64_t(1) << 29) {
    if (!keepSettings) Settings().clear();
    auto store = ExperimentStore::open(folder / "runs.sqlite");
    if (!store) ::abort();
    document = std::make_unique<Document>(workers, weights, std::move(*store));
  }

  // Opens the built-in model; false when it did not come.
  bool open(const QString& model = "builtin") {
    QSignalSpy changed(document.get(), &Document::modelChanged);
    document->open(model);
    return QTest::qWaitFor([&] { return !changed.empty(); }, kPatience);
  }

  bool waitForIdle() {
    return QTest::qWaitFor([&] { return !document->jobs().anyRunning(); }, kPatience);
  }

  std::vector<size_t> firstTensors(size_t count) const {
    std::vector<size_t> result;
    for (size_t i = 0; i < document->model().tensors().size() && result.size() < count; ++i) {
      if (isQuantizable(document->model().tensors()[i])) result.push_back(i);
    }
    return result;
  }

  std::vector<Run> runs() const {
    auto all = document->store().runs();
    return all ? *all : std::vector<Run>();
  }

  TempDir folder;
  Workers workers;
  WeightCache weights;
  std::unique_ptr<Document> document;
};

}  // namespace bitloom::test

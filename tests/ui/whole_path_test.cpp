// SPDX-License-Identifier: GPL-3.0-or-later
// One window, the built-in model, the whole way by mouse and keyboard. After each step the
// document, the files on disk (read anew) and the store (a connection of its own) are asked what
// happened.
#include <QComboBox>
#include <QElapsedTimer>
#include <QFileDialog>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QPushButton>
#include <QRadioButton>
#include <QSlider>
#include <QStyleOptionSlider>
#include <cmath>
#include <set>

#include "core/builtin.h"
#include "core/chat.h"
#include "tests/ui/studio.h"
#include "ui/format.h"
#include "ui/main_window.h"
#include "ui/models/run_table.h"
#include "ui/pages/chat_column.h"
#include "ui/pages/loom_page.h"
#include "ui/pages/runs_page.h"
#include "ui/widgets/budget_panel.h"
#include "ui/widgets/table.h"

namespace bitloom {
namespace {

using test::kPatience;
using test::Studio;

constexpr int kDragged = 4;  // column of the fader
constexpr const char* kPrompt = "The fox and the crow";

class WholePath : public testing::Test {
 protected:
  WholePath() : window(*studio.document), document(*studio.document) {
    window.resize(1280, 800);
    window.show();
  }

  // --- hands -------------------------------------------------------------------------------
  // Among several of a name, the one on the page that is shown.
  template <typename T>
  T* find(const char* name) const {
    for (T* widget : window.findChildren<T*>(name)) {
      if (widget->isVisible()) return widget;
    }
    ADD_FAILURE() << "no visible " << name;
    return nullptr;
  }
  void click(const char* button) {
    auto* widget = find<QPushButton>(button);
    ASSERT_NE(widget, nullptr);
    ASSERT_TRUE(widget->isEnabled()) << button;
    QTest::mouseClick(widget, Qt::LeftButton);
  }
  void type(const char* editor, const QString& text) {
    auto* widget = find<QWidget>(editor);
    ASSERT_NE(widget, nullptr);
    widget->setFocus();
    QTest::keyClick(widget, Qt::Key_A, Qt::ControlModifier);
    QTest::keyClicks(widget, text);
  }
  // Steps through a combo box by keyboard to the entry that holds `data`.
  void pick(const char* combo, const QString& data) {
    auto* box = find<QComboBox>(combo);
    ASSERT_NE(box, nullptr);
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Home);
    for (int i = 0; i < box->count() && box->currentData().toString() != data; ++i) {
      QTest::keyClick(box, Qt::Key_Down);
    }
    ASSERT_EQ(box->currentData().toString(), data);
  }
  void go(Place place) {
    QTest::keyClick(&window, Qt::Key(Qt::Key_1 + int(place)), Qt::ControlModifier);
    ASSERT_EQ(window.place(), place);
  }
  // No window manager gives the focus back when a menu or a dialog has closed.
  bool isFront() {
    window.activateWindow();
    return until([&] { return QApplication::activeWindow() == &window; });
  }
  // Presses Quantize and types the name into the file dialog.
  void quantizeTo(const std::filesystem::path& path) {
    click("quantizeButton");
    auto* dialog = find<QFileDialog>("QFileDialog");
    ASSERT_NE(dialog, nullptr);
    test::typePath(*dialog, path);
    ASSERT_TRUE(isFront());
  }
  static bool until(const std::function<bool()>& done) { return QTest::qWaitFor(done, kPatience); }

  // --- what is true ------------------------------------------------------------------------
  std::vector<bitloom::Run> stored(RunKind kind) const {
    std::vector<bitloom::Run> result;
    const auto other = document.store().openAnother();
    auto all = other->runs(document.model().fingerprint());
    for (bitloom::Run& run : *all) {
      if (run.kind == kind) result.push_back(std::move(run));
    }
    return result;
  }
  std::string requested(size_t tensor) const {
    return std::string(document.plan().tensors[tensor].requested->name);
  }
  static void expectFile(const std::filesystem::path& path, const Model& source, const Plan& plan) {
    ASSERT_TRUE(std::filesystem::exists(path));
    EXPECT_EQ(std::filesystem::file_size(path), plan.fileBytes);
    const auto written = Model::open(path);
    ASSERT_TRUE(written) << written.error().message;
    for (const Choice& choice : plan.tensors) {
      const Tensor& original = source.tensors()[choice.tensor];
      const Tensor* tensor = (*written)->find(original.name);
      ASSERT_NE(tensor, nullptr) << original.name;
      const std::string type =
          choice.effective ? std::string(choice.effective->name) : original.type;
      EXPECT_EQ(tensor->type, type) << original.name;
      EXPECT_EQ(tensor->bytes.size(), choice.bytes) << original.name;
      EXPECT_EQ(tensor->shape, original.shape) << original.name;
    }
  }
  // What the core makes of a file, with nothing of the window.
  std::string spoken(const std::filesystem::path& path, uint32_t tokens) const {
    const auto model = *Model::open(path);
    const auto tokenizer = *Tokenizer::create(model->metadata());
    const ChatMessage message{"user", kPrompt};
    const auto text = *ChatTemplate::detect(model->metadata()).render({&message, 1}, true);
    WeightCache weights(uint64_t(1) << 29);
    Workers workers;
    JobControl control;
    JobContext job(workers, control);
    const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = tokens};
    return answer(*Variant::create(model, weights), tokenizer, tokenizer.encode(text, true),
                  options, {}, job)
        ->text;
  }

  // --- steps -------------------------------------------------------------------------------
  void openModel();
  void scan();
  void dragFader();
  void dragSlider();
  void undo();
  void quantize();
  void cancelQuantize();
  void chat();
  void prove();
  void restore();
  void exportTwin();

  Studio studio;
  MainWindow window;
  Document& document;
  Recipe faded, slid;
  std::filesystem::path file = studio.folder / "mine.gguf";
};

void WholePath::openModel() {
  ASSERT_TRUE(QTest::qWaitForWindowActive(&window));
  QTest::mouseClick(find<QWidget>("menuRailButton"), Qt::LeftButton);
  auto* menu = qobject_cast<QMenu*>(QApplication::activePopupWidget());
  ASSERT_NE(menu, nullptr);
  auto* action = window.findChild<QAction*>("openBuiltinAction");
  QTest::mouseClick(menu, Qt::LeftButton, {}, menu->actionGeometry(action).center());
  ASSERT_TRUE(isFront());
  ASSERT_TRUE(until([&] { return document.isOpen(); }));
  EXPECT_EQ(document.model().path(), *builtinModelPath());
  EXPECT_EQ(document.recipe(), uniformRecipe(*findCodec("tq3_1s")));
  EXPECT_EQ(find<QLabel>("sizeLabel")->text(), formatGB(document.plan().fileBytes));
  EXPECT_TRUE(stored(RunKind::Scan).empty());
  EXPECT_GT(document.sensitivity("kld").cells.size(), 1000u) << "the scan that ships with it";
}

void WholePath::scan() {
  pick("metricCombo", "weight_error");
  pick("codecCombo", "tq3_1s");
  click("cheaperScanButton");
  ASSERT_TRUE(document.isScanning());
  ASSERT_TRUE(until([&] { return !document.isScanning(); }));
  const std::vector<Cell> cells = document.sensitivity("weight_error").cells;
  size_t weights = 0;
  for (const Tensor& tensor : document.model().tensors()) weights += isQuantizable(tensor);
  ASSERT_EQ(cells.size(), weights);
  // One cell by hand: encoded and decoded here.
  const Tensor& tensor = *document.model().find("blk.2.ffn_down.weight");
  const Codec& codec = *findCodec("tq3_1s");
  std::vector<float> before(tensor.weights()), after(tensor.weights());
  decodeRows(tensor, 0, tensor.rows(), before.data());
  std::vector<std::byte> bytes(codec.rowBytes(tensor.rowLength()));
  for (size_t at = 0; at < before.size(); at += tensor.rowLength()) {
    codec.encode(std::span(before).subspan(at, tensor.rowLength()), {}, bytes);
    codec.decode(bytes, std::span(after).subspan(at, tensor.rowLength()));
  }
  double lost = 0, all = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    lost += std::pow(double(before[i]) - double(after[i]), 2);
    all += std::pow(double(before[i]), 2);
  }
  const Cell* cell = document.sensitivity("weight_error").find(tensor.name, "tq3_1s");
  ASSERT_NE(cell, nullptr);
  EXPECT_NEAR(cell->value, lost / all, 1e-6);
  const auto runs = stored(RunKind::Scan);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].state, "done");
  const auto kept = document.store().cells(runs[0].id);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->cells.size(), cells.size());
  ASSERT_NE(kept->find(tensor.name, "tq3_1s"), nullptr);
  EXPECT_EQ(kept->find(tensor.name, "tq3_1s")->value, cell->value);
}

void WholePath::dragFader() {
  auto* faders = find<FaderBank>("faderBank");
  const uint64_t bytes = document.plan().fileBytes;
  const QPoint foot(int(faders->barRect(kDragged).center().x()), faders->height() - 3);
  const QPoint top(foot.x(), int(std::lround(faders->yOf(findCodec("q8_0")->bits))));
  QTest::mousePress(faders, Qt::LeftButton, {}, foot);
  QTest::mouseMove(faders, (foot + top) / 2);
  QTest::mouseMove(faders, top);
  EXPECT_TRUE(document.isPreviewing());
  QTest::mouseRelease(faders, Qt::LeftButton, {}, top);
  EXPECT_FALSE(document.isPreviewing());
  EXPECT_EQ(document.undoStack()->count(), 1);
  const LoomGrid& grid = window.findChild<LoomPage*>()->grid();
  for (const size_t tensor : grid.tensors()) {
    EXPECT_EQ(requested(tensor), grid.find(tensor)->column == kDragged ? "q8_0" : "tq3_1s");
  }
  EXPECT_GT(document.plan().fileBytes, bytes);
  EXPECT_EQ(find<QLabel>("sizeLabel")->text(), formatGB(document.plan().fileBytes));
  EXPECT_TRUE(window.isWindowModified());
  faded = document.recipe();
}

void WholePath::dragSlider() {
  auto* slider = find<QSlider>("budgetSlider");
  auto* budget = find<BudgetPanel>("budgetPanel");
  ASSERT_TRUE(until([&] { return budget->isSolving(); }));
  QStyleOptionSlider option;
  option.initFrom(slider);
  option.maximum = slider->maximum();
  option.sliderPosition = slider->sliderPosition();
  option.sliderValue = slider->value();
  option.state |= QStyle::State_Horizontal;
  const QPoint handle =
      slider->style()
          ->subControlRect(QStyle::CC_Slider, &option, QStyle::SC_SliderHandle, slider)
          .center();
  const QPoint target(slider->width() * 2 / 5, handle.y());
  QTest::mousePress(slider, Qt::LeftButton, {}, handle);
  ASSERT_TRUE(slider->isSliderDown()) << "the handle was missed";
  QTest::mouseMove(slider, (handle + target) / 2);
  QTest::mouseMove(slider, target);
  EXPECT_TRUE(until([&] { return document.isPreviewing(); }));
  EXPECT_EQ(document.recipe(), faded) << "nothing is changed before the release";
  QTest::mouseRelease(slider, Qt::LeftButton, {}, target);
  EXPECT_FALSE(document.isPreviewing());
  EXPECT_EQ(document.undoStack()->count(), 2);
  EXPECT_NE(document.recipe(), faded);
  const SizeRange range = budget->range();
  const double share = double(target.x()) / slider->width();
  const double wanted = double(range.floor) + share * double(range.ceiling - range.floor);
  EXPECT_NEAR(double(document.plan().fileBytes), wanted, 0.05 * wanted);
  std::set<std::string> used;
  for (const size_t tensor : window.findChild<LoomPage*>()->grid().tensors()) {
    used.insert(requested(tensor));
  }
  EXPECT_GT(used.size(), 2u) << "the solver mixes codecs";
  slid = document.recipe();
}

void WholePath::undo() {
  const uint64_t bytes = document.plan().fileBytes;
  QTest::keyClick(&window, Qt::Key_Z, Qt::ControlModifier);
  EXPECT_EQ(document.recipe(), faded);
  EXPECT_NE(document.plan().fileBytes, bytes);
  EXPECT_EQ(find<QLabel>("sizeLabel")->text(), formatGB(document.plan().fileBytes));
  ASSERT_TRUE(until([&] { return document.damage().kind == Document::Damage::Kind::Measured; }));
  EXPECT_GT(document.damage().value, 0);
}

void WholePath::quantize() {
  QSignalSpy written(&document, &Document::quantized);
  quantizeTo(file);
  ASSERT_TRUE(until([&] { return !written.empty(); }));
  expectFile(file, document.model(), document.plan());
  const auto runs = stored(RunKind::Quantize);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].state, "done");
  EXPECT_EQ(runs[0].path, file.string());
  EXPECT_EQ(runs[0].bytes, std::filesystem::file_size(file));
  EXPECT_EQ(runs[0].planHash, document.plan().hash);
  EXPECT_EQ(*parseRecipe(runs[0].recipeJson, "run"), faded);
}

void WholePath::cancelQuantize() {
  const auto folder = studio.folder / "second";
  std::filesystem::create_directory(folder);
  QSignalSpy written(&document, &Document::quantized);
  QSignalSpy failed(&document, &Document::failed);
  quantizeTo(folder / "second.gguf");
  click("stopJobButton");
  QElapsedTimer clock;
  clock.start();
  ASSERT_TRUE(until([&] { return !document.jobs().anyRunning(/*includingQuiet=*/false); }));
  EXPECT_LT(clock.elapsed(), 1000);
  EXPECT_TRUE(written.empty());
  EXPECT_TRUE(failed.empty()) << "a cancelled job is no failure";
  EXPECT_TRUE(std::filesystem::is_empty(folder)) << "something was left behind";
  EXPECT_EQ(stored(RunKind::Quantize).size(), 1u);
  EXPECT_EQ(document.recipe(), faded);
}

void WholePath::chat() {
  go(Place::Chat);
  auto* left = find<ChatColumn>("leftColumn");
  auto* right = find<ChatColumn>("rightColumn");
  auto* choice = right->findChild<QComboBox*>("sourceComboBox");
  choice->setFocus();
  QTest::keyClick(choice, Qt::Key_Home);
  QTest::keyClick(choice, Qt::Key_Down);
  ASSERT_TRUE(right->title().startsWith("This plan")) << right->title().toStdString();
  type("maxTokensSpinBox", "40");
  type("promptEdit", kPrompt);
  QTest::keyClick(find<QLineEdit>("promptEdit"), Qt::Key_Return);
  ASSERT_TRUE(left->isBusy() && right->isBusy());
  ASSERT_TRUE(until([&] { return !left->isBusy() && !right->isBusy(); }) && studio.waitForIdle());
  EXPECT_EQ(left->answer().text, spoken(document.model().path(), 40));
  EXPECT_EQ(right->answer().text, spoken(file, 40)) << "the plan speaks like the file it makes";
  EXPECT_NE(left->answer().text, right->answer().text);
  click("tieVoteButton");
  const auto votes = document.store().openAnother()->votes();
  ASSERT_EQ(votes->size(), 1u);
  EXPECT_EQ(votes->front().winner, "tie");
  EXPECT_EQ(votes->front().prompt, kPrompt);
  EXPECT_EQ(votes->front().rightText, right->answer().text);
  ASSERT_EQ(stored(RunKind::Chat).size(), 1u);
  EXPECT_EQ(stored(RunKind::Chat)[0].id, votes->front().run);
}

void WholePath::prove() {
  go(Place::Runs);
  click("proveButton");
  ASSERT_TRUE(QTest::qWaitFor([&] { return !stored(RunKind::Evaluate).empty(); }, 4 * kPatience));
  const auto runs = stored(RunKind::Evaluate);
  ASSERT_EQ(runs.size(), 1u);
  const RunFigures figures = figuresOf(runs[0]);
  ASSERT_TRUE(figures.kld && figures.perplexity && figures.sameTop);
  EXPECT_GT(figures.kld->mean, 0);
  EXPECT_GT(figures.kld->error, 0);
  EXPECT_EQ(*parseRecipe(runs[0].recipeJson, "run"), faded);
  EXPECT_FALSE(find<QLabel>("verdictLabel")->text().isEmpty());
}

void WholePath::restore() {
  QTest::keyClick(&window, Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);
  ASSERT_EQ(document.recipe(), slid);
  const bitloom::Run run = stored(RunKind::Quantize)[0];
  auto* table = find<Table>("runTable");
  QModelIndex index;
  for (int row = 0; row < table->model()->rowCount(); ++row) {
    const QModelIndex kind = table->model()->index(row, RunTable::Kind);
    if (kind.data().toString() == kindTitle(RunKind::Quantize)) index = kind;
  }
  ASSERT_TRUE(index.isValid());
  table->scrollTo(index);
  QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, table->visualRect(index).center());
  click("restoreButton");
  EXPECT_EQ(document.recipe(), faded);
  EXPECT_EQ(document.plan().hash, run.planHash);
  EXPECT_EQ(document.plan().fileBytes, run.bytes);
  expectFile(file, document.model(), document.plan());
  QTest::keyClick(&window, Qt::Key_Z, Qt::ControlModifier);
  EXPECT_EQ(document.recipe(), slid) << "a restored plan can be undone";
}

void WholePath::exportTwin() {
  go(Place::Export);
  QTest::mouseClick(find<QRadioButton>("gguf-mainlineButton"), Qt::LeftButton, {}, QPoint(8, 10));
  ASSERT_TRUE(find<QRadioButton>("gguf-mainlineButton")->isChecked());
  const auto twin = studio.folder / "twin.gguf";
  type("targetEdit", QString::fromStdString(twin.string()));
  QSignalSpy done(&document, &Document::exported);
  click("exportButton");
  ASSERT_TRUE(until([&] { return !done.empty(); }));
  const auto written = Model::open(twin);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ((*written)->tensors().size(), document.model().tensors().size());
  for (const Tensor& tensor : (*written)->tensors()) {
    EXPECT_NE(findProfile("mainline")->find(tensor.type), nullptr) << tensor.name << tensor.type;
  }
  EXPECT_TRUE(find<QLineEdit>("commandEdit")->text().contains("twin.gguf"));
  const auto runs = stored(RunKind::Export);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].state, "done");
  EXPECT_EQ(runs[0].bytes, std::filesystem::file_size(twin));
  EXPECT_EQ(runs[0].path, twin.string());
  const auto planned = resolve(*parseRecipe(runs[0].recipeJson, "run"), document.model());
  ASSERT_TRUE(planned);
  expectFile(twin, document.model(), *planned);
}

#define STEP(step) ASSERT_NO_FATAL_FAILURE(step()) << "in " << #step

TEST_F(WholePath, FromOpeningToExportByMouseAndKeyboard) {
  STEP(openModel);
  STEP(scan);
  STEP(dragFader);
  STEP(dragSlider);
  STEP(undo);
  STEP(quantize);
  STEP(cancelQuantize);
  STEP(chat);
  STEP(prove);
  STEP(restore);
  STEP(exportTwin);
  for (const bitloom::Run& run : studio.runs()) EXPECT_EQ(run.state, "done") << run.title;
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/budget_panel.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QRegularExpression>
#include <QSlider>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/inference/kv_cache.h"
#include "core/machine.h"
#include "ui/document.h"
#include "ui/format.h"
#include "ui/models/loom_edits.h"
#include "ui/widgets/card.h"
#include "ui/widgets/fit_chip.h"

namespace bitloom {
namespace {

constexpr int kSliderSteps = 4000;
constexpr int kFrame = 16;                    // ms: 60 previews a second
constexpr int kKeyPause = 400;                // ms after the last key before a step is committed
constexpr int kRangePause = 60;               // ms; cells come in batches while a scan runs
constexpr uint64_t kDesktop = 1'000'000'000;  // bytes left to everything else
constexpr uint64_t kMaxContext = 131072;

QString text(const std::string& value) { return QString::fromStdString(value); }

// "3.46 GB" and "3.46" are both sizes; a bare number takes the unit that is shown.
QString withUnit(const QString& typed, const QString& shown) {
  static const QRegularExpression bare("^[0-9.,]+$");
  QString value = typed.trimmed();
  if (!bare.match(value).hasMatch()) return value;
  return value.replace(',', '.') + ' ' + shown.section(' ', -1);
}

}  // namespace

std::array<uint64_t, 4> niceBudgets(uint64_t ceiling) {
  std::vector<uint64_t> nice;
  for (const double unit : {1e6, 1e9, 1e12}) {
    for (const int count :
         {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768}) {
      nice.push_back(uint64_t(count * unit));
    }
  }
  size_t top = 3;
  while (top + 1 < nice.size() && double(nice[top]) < double(ceiling) * 0.95) ++top;
  return {nice[top], nice[top - 1], nice[top - 2], nice[top - 3]};
}

BudgetPanel::BudgetPanel(Document& document, QWidget* parent)
    : QWidget(parent), m_document(document) {
  setObjectName("budgetPanel");
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(6);
  buildSlider();
  buildNumbers();
  buildChips();
  buildContext();
  m_slideTimer.setSingleShot(true);
  m_slideTimer.setInterval(kFrame);
  m_rangeTimer.setSingleShot(true);
  m_rangeTimer.setInterval(kRangePause);
  m_commitTimer.setSingleShot(true);
  m_commitTimer.setInterval(kKeyPause);
  connect(&m_slideTimer, &QTimer::timeout, this, &BudgetPanel::slide);
  connect(&m_rangeTimer, &QTimer::timeout, this, &BudgetPanel::updateRange);
  connect(&m_commitTimer, &QTimer::timeout, this, &BudgetPanel::release);
  connect(&m_document, &Document::modelChanged, this, &BudgetPanel::showModel);
  const auto rangeSoon = [this] { m_rangeTimer.start(); };
  connect(&m_document, &Document::planChanged, this, [this, rangeSoon] {
    showPlan();
    if (!m_document.isPreviewing()) rangeSoon();  // pins may have moved floor and ceiling
  });
  connect(&m_document, &Document::sensitivityChanged, this, rangeSoon);
  connect(&m_document, &Document::scanChanged, this, rangeSoon);
  showModel();
}

// --- parts -----------------------------------------------------------------------------------

void BudgetPanel::buildSlider() {
  auto* title = new QHBoxLayout;
  title->addWidget(makeLabel(tr("Budget"), "heading"));
  title->addStretch();
  m_fit = makeButton(tr("Fit my machine"), "fitMachineButton", Rank::Link);
  m_fit->setToolTip(
      tr("Reads the free memory, leaves room for the context and the desktop, and "
         "solves for the rest."));
  connect(m_fit, &QPushButton::clicked, this, &BudgetPanel::fitMachine);
  title->addWidget(m_fit);
  m_slider = new QSlider(Qt::Horizontal, this);
  m_slider->setObjectName("budgetSlider");
  m_slider->setRange(0, kSliderSteps);
  m_slider->setSingleStep(kSliderSteps / 200);
  m_slider->setPageStep(kSliderSteps / 20);
  m_slider->setAccessibleName(tr("Size of the file"));
  connect(m_slider, &QSlider::valueChanged, this, [this] {
    if (m_showing) return;
    m_touched = true;
    if (!m_slideTimer.isActive()) m_slideTimer.start();
    if (!m_slider->isSliderDown()) m_commitTimer.start();
  });
  connect(m_slider, &QSlider::sliderReleased, this, &BudgetPanel::release);
  auto* ends = new QHBoxLayout;
  m_floor = makeLabel({}, "faint");
  m_exact = makeLabel({}, "faint");
  m_exact->setObjectName("exactBytesLabel");
  m_ceiling = makeLabel({}, "faint");
  ends->addWidget(m_floor);
  ends->addStretch();
  ends->addWidget(m_ceiling);
  auto* column = static_cast<QVBoxLayout*>(layout());
  column->addLayout(title);
  column->addWidget(m_slider);
  column->addLayout(ends);
}

void BudgetPanel::buildNumbers() {
  auto* row = new QHBoxLayout;
  row->setSpacing(8);
  m_size = new QLineEdit(this);
  m_size->setObjectName("sizeEdit");
  m_size->setAccessibleName(tr("Size of the file"));
  m_bits = new QLineEdit(this);
  m_bits->setObjectName("bpwEdit");
  m_bits->setAccessibleName(tr("Bits per weight"));
  for (QLineEdit* edit : {m_size, m_bits}) {
    QFont bold = edit->font();
    bold.setBold(true);
    edit->setFont(bold);
    row->addWidget(edit);
  }
  connect(m_size, &QLineEdit::editingFinished, this, &BudgetPanel::takeSize);
  connect(m_bits, &QLineEdit::editingFinished, this, &BudgetPanel::takeBits);
  auto* column = static_cast<QVBoxLayout*>(layout());
  column->addLayout(row);
  auto* below = new QHBoxLayout;
  below->addWidget(m_exact);
  below->addStretch();
  m_mode = makeLabel({}, "warn");
  m_mode->setObjectName("budgetModeLabel");
  below->addWidget(m_mode);
  column->addLayout(below);
}

void BudgetPanel::buildChips() {
  auto* row = new QHBoxLayout;
  row->setSpacing(4);
  for (size_t i = 0; i < m_chips.size(); ++i) {
    auto* chip = new FitChip(this);
    chip->setObjectName(QString("fitChip%1").arg(i));
    connect(chip, &FitChip::clicked, this, [this, chip] {
      const uint64_t cache = cacheBytes();
      const uint64_t target = chip->budget() > cache ? chip->budget() - cache : 0;
      fitTo(target, tr("fit %1").arg(formatGB(chip->budget())));
    });
    m_chips[i] = chip;
    row->addWidget(chip);
  }
  static_cast<QVBoxLayout*>(layout())->addLayout(row);
}

void BudgetPanel::buildContext() {
  auto* row = new QHBoxLayout;
  row->setSpacing(4);
  m_context = new QComboBox(this);
  m_context->setObjectName("contextCombo");
  m_context->setMaximumWidth(fontMetrics().horizontalAdvance("131 072") + 44);
  m_context->setAccessibleName(tr("Context length"));
  m_context->setToolTip(tr("Tokens of context that the key-value cache has room for"));
  m_cache = makeLabel({}, "faint");
  m_cache->setObjectName("cacheLabel");
  row->addWidget(makeLabel(tr("context"), "faint"));
  row->addWidget(m_context);
  row->addWidget(m_cache);
  row->addStretch();
  connect(m_context, &QComboBox::currentIndexChanged, this, &BudgetPanel::updateChips);
  static_cast<QVBoxLayout*>(layout())->addLayout(row);
}

// --- showing ---------------------------------------------------------------------------------

void BudgetPanel::showModel() {
  m_touched = false;
  const bool open = m_document.isOpen();
  setEnabled(open);
  if (!open) return;
  m_context->clear();
  const uint64_t trained = m_document.canInfer() ? m_document.graph().contextLength : 0;
  const uint64_t longest = std::min(std::max<uint64_t>(trained, 1), kMaxContext);
  for (uint64_t length = 512; length < longest; length *= 2) {
    m_context->addItem(formatGrouped(length), qulonglong(length));
  }
  if (trained > 0) m_context->addItem(formatGrouped(longest), qulonglong(longest));
  const int usual = m_context->findData(qulonglong(8192));
  m_context->setCurrentIndex(usual >= 0 ? usual : m_context->count() - 1);
  m_context->setEnabled(m_context->count() > 1);
  updateRange();
}

void BudgetPanel::updateRange() {
  if (!m_document.isOpen() || m_document.isPreviewing()) return;
  m_solving = false;
  auto range = m_document.sizeRange(m_document.ladder());
  if (range) m_solving = bool(m_document.solveFor(range->ceiling, m_document.ladder()));
  if (!m_solving) range = uniformSizes(m_document);
  if (!range) return;
  m_range = *range;
  m_mode->setText(m_solving ? QString() : tr("no scan yet: uniform"));
  m_mode->setToolTip(m_solving ? QString()
                               : tr("The solver needs a scan. Until then the largest uniform codec "
                                    "that fits is taken."));
  m_floor->setText(tr("floor %1").arg(formatGB(m_range.floor)));
  m_ceiling->setText(tr("ceiling %1").arg(formatGB(m_range.ceiling)));
  const auto budgets = niceBudgets(m_range.ceiling);
  for (size_t i = 0; i < m_chips.size(); ++i) m_chips[i]->setBudget(budgets[i]);
  showPlan();
}

void BudgetPanel::showPlan() {
  if (!m_document.isOpen()) return;
  const Plan& plan = m_document.plan();
  m_exact->setText(tr("%1 bytes").arg(formatGrouped(plan.fileBytes)));
  if (!m_size->hasFocus() || !m_size->isModified()) m_size->setText(formatGB(plan.fileBytes));
  if (!m_bits->hasFocus() || !m_bits->isModified()) m_bits->setText(formatBpw(plan.bitsPerWeight));
  if (!m_slider->isSliderDown() && !m_touched && m_range.ceiling > m_range.floor) {
    const double share =
        (double(plan.fileBytes) - double(m_range.floor)) / double(m_range.ceiling - m_range.floor);
    m_showing = true;
    m_slider->setValue(int(std::lround(std::clamp(share, 0.0, 1.0) * kSliderSteps)));
    m_showing = false;
  }
  m_slider->setToolTip(
      tr("%1 bytes, %2").arg(formatGrouped(plan.fileBytes), formatGiB(plan.fileBytes)));
  updateChips();
}

uint64_t BudgetPanel::cacheBytes() const {
  if (!m_document.isOpen() || !m_document.canInfer()) return 0;
  const auto length = uint32_t(m_context->currentData().toULongLong());
  return KvCache::bytesFor(m_document.graph(), length, KvFormat::F16);
}

void BudgetPanel::updateChips() {
  if (!m_document.isOpen()) return;
  const uint64_t cache = cacheBytes();
  const uint64_t file = m_document.plan().fileBytes;
  m_cache->setText(m_document.canInfer() ? tr("KV cache %1").arg(formatGB(cache))
                                         : tr("KV cache: not known"));
  for (FitChip* chip : m_chips) {
    chip->setFits(file + cache <= chip->budget(),
                  tr("%1 plan + %2 KV cache = %3. Click to solve for this budget.")
                      .arg(formatGB(file), formatGB(cache), formatGB(file + cache)));
  }
}

// --- changing --------------------------------------------------------------------------------

Result<Recipe> BudgetPanel::recipeFor(uint64_t fileBytes) const {
  if (!m_solving) return bestUniform(m_document, fileBytes);
  TRY(auto solution, m_document.solveFor(fileBytes, m_document.ladder()));
  return std::move(solution.recipe);
}

uint64_t BudgetPanel::sliderBytes() const {
  const double share = double(m_slider->value()) / kSliderSteps;
  return m_range.floor + uint64_t(std::llround(share * double(m_range.ceiling - m_range.floor)));
}

void BudgetPanel::slide() {
  if (!m_touched || !m_document.isOpen()) return;
  auto recipe = recipeFor(sliderBytes());
  if (!recipe) return emit failed(text(recipe.error().message));
  m_slid = std::move(*recipe);
  m_document.previewRecipe(m_slid);
}

void BudgetPanel::release() {
  if (!m_touched) return;
  m_slideTimer.stop();
  m_commitTimer.stop();
  const uint64_t target = sliderBytes();
  m_touched = false;
  fitTo(target, tr("size %1").arg(formatGB(target)));
}

void BudgetPanel::fitTo(uint64_t fileBytes, const QString& undoText) {
  if (!m_document.isOpen()) return;
  const auto recipe = recipeFor(fileBytes);
  if (recipe) {
    m_document.setRecipe(*recipe, undoText);
  } else {
    m_document.cancelPreview();
    emit failed(text(recipe.error().message));
  }
  showPlan();
}

void BudgetPanel::takeSize() {
  if (!m_size->isModified()) return;
  m_size->setModified(false);
  const auto bytes =
      parseSize(withUnit(m_size->text(), formatGB(m_document.plan().fileBytes)).toStdString());
  if (bytes) return fitTo(*bytes, tr("size %1").arg(formatGB(*bytes)));
  emit failed(text(bytes.error().message));
  showPlan();
}

void BudgetPanel::takeBits() {
  if (!m_bits->isModified()) return;
  m_bits->setModified(false);
  bool ok = false;
  QString typed = m_bits->text().section("bpw", 0, 0).trimmed();
  const double bits = typed.replace(',', '.').toDouble(&ok);
  if (!ok || !(bits > 0)) {
    emit failed(tr("\"%1\" is no number of bits per weight.").arg(m_bits->text()));
    return showPlan();
  }
  const Plan& plan = m_document.plan();
  const uint64_t around = plan.fileBytes - plan.tensorBytes;  // header and padding
  const double tensors = bits * double(m_document.model().weights()) / 8;
  fitTo(around + uint64_t(std::llround(tensors)), tr("%1").arg(formatBpw(bits)));
}

void BudgetPanel::fitMachine() {
  if (!m_document.isOpen()) return;
  const uint64_t free = inspectMachine().availableBytes;
  const uint64_t cache = cacheBytes();
  const uint64_t desktop = std::min(kDesktop, free / 4);
  const uint64_t left = free > cache + desktop ? free - cache - desktop : 0;
  const uint64_t target = std::min(left, m_range.ceiling);
  fitTo(target, tr("fit my machine"));
  if (m_document.plan().fileBytes > left) return;  // refused: said as a failure
  emit said(tr("%1 free, less %2 for the context and %3 for the desktop: %4 for the model%5")
                .arg(formatGB(free), formatGB(cache), formatGB(desktop), formatGB(left),
                     left >= m_range.ceiling ? tr(", all of it fits.") : tr(".")));
}

}  // namespace bitloom

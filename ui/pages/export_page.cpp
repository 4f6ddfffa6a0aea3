// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/export_page.h"

#include <QApplication>
#include <QButtonGroup>
#include <QClipboard>
#include <QComboBox>
#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QListWidget>
#include <QRadioButton>
#include <QStandardPaths>
#include <QStorageInfo>
#include <QVBoxLayout>

#include "ui/format.h"
#include "ui/theme.h"
#include "ui/widgets/card.h"

namespace bitloom {
namespace {

constexpr int kChoicesWidth = 340;
const char* const kFirstExporter = "gguf-tq";  // plays the plan as it is

QString asText(std::string_view text) {
  return QString::fromUtf8(text.data(), qsizetype(text.size()));
}

QString lines(const std::vector<std::string>& items, const QString& mark) {
  QStringList result;
  for (const std::string& item : items) result << mark + QString::fromStdString(item);
  return result.join('\n');
}

QLabel* wrapped(const char* tone, const char* objectName, QWidget* parent) {
  QLabel* label = makeLabel({}, tone, parent);
  label->setObjectName(objectName);
  label->setWordWrap(true);
  label->setTextInteractionFlags(Qt::TextSelectableByMouse);
  return label;
}

}  // namespace

ExportPage::ExportPage(Document& document, QWidget* parent)
    : QWidget(parent), m_document(document) {
  setObjectName("exportPage");
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(kMargin, kMargin, kMargin, kMargin);
  layout->setSpacing(kMargin);
  layout->addWidget(buildChoices());
  auto* right = new QVBoxLayout;
  right->setSpacing(kMargin);
  right->addWidget(buildCheck(), 1);
  right->addWidget(buildResult());
  layout->addLayout(right, 1);
  const auto stale = [this] {
    m_stale = true;
    if (isVisible()) check();
  };
  connect(&document, &Document::planChanged, this, stale);
  connect(&document, &Document::modelChanged, this, [this, stale] {
    m_result->hide();
    m_targetEdited = false;
    stale();
  });
  connect(&document, &Document::exported, this, &ExportPage::showDone);
  connect(&document.jobs(), &JobList::changed, this, [this] {
    m_write->setEnabled(m_check.has_value() && !m_document.jobs().anyRunning(false));
  });
}

QWidget* ExportPage::buildChoices() {
  auto* card = new Card(tr("Who will run it?"), this);
  card->setFixedWidth(kChoicesWidth);
  card->body()->setSpacing(2);
  m_group = new QButtonGroup(this);
  int first = 0;
  for (const Exporter* exporter : exporters()) {
    auto* button = new QRadioButton(asText(exporter->title), card);
    button->setObjectName(asText(exporter->name) + "Button");
    button->setAccessibleDescription(asText(exporter->summary));
    auto* summary = makeLabel(asText(exporter->summary), "faint", card);
    summary->setWordWrap(true);
    summary->setContentsMargins(24, 0, 0, 10);
    if (exporter->name == kFirstExporter) first = int(m_group->buttons().size());
    m_group->addButton(button, int(m_group->buttons().size()));
    card->body()->addWidget(button);
    card->body()->addWidget(summary);
  }
  card->body()->addStretch();
  connect(m_group, &QButtonGroup::idToggled, this, [this](int id, bool on) {
    if (!on) return;
    m_exporter = exporters()[size_t(id)];
    m_result->hide();
    check();
  });
  if (!exporters().empty()) {
    m_exporter = exporters()[size_t(first)];
    const QSignalBlocker quiet(m_group);
    m_group->button(first)->setChecked(true);
  }
  return card;
}

QWidget* ExportPage::buildCheck() {
  auto* card = new Card(tr("Before the work"), this);
  card->setObjectName("checkCard");
  m_loads = wrapped("good", "loadsLabel", card);
  m_refuses = wrapped("warn", "refusesLabel", card);
  m_changesTitle = wrapped("", "changesLabel", card);
  m_changes = new QListWidget(card);
  m_changes->setObjectName("changesList");
  m_changes->setAccessibleName(tr("What changes for this program"));
  m_changes->setSelectionMode(QAbstractItemView::ExtendedSelection);
  m_method = new QComboBox(card);
  m_method->setObjectName("methodChoice");
  m_method->setAccessibleName(tr("How codes are chosen"));
  m_method->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
  m_method->addItem(tr("Codes are chosen as the recipe says"));
  for (const Method* method : methods()) {
    m_method->addItem(tr("%1: %2").arg(asText(method->name), asText(method->summary)),
                      asText(method->name));
  }
  connect(m_method, &QComboBox::currentIndexChanged, this, &ExportPage::check);
  m_size = wrapped("number", "exportSizeLabel", card);
  m_disk = wrapped("faint", "diskLabel", card);
  card->body()->addWidget(m_loads);
  card->body()->addWidget(m_refuses);
  card->body()->addWidget(makeRule(card));
  card->body()->addWidget(m_changesTitle);
  card->body()->addWidget(m_changes, 1);
  card->body()->addWidget(m_method);
  card->body()->addWidget(makeRule(card));
  auto* row = new QHBoxLayout;
  row->addWidget(m_size);
  row->addSpacing(kMargin);
  row->addWidget(m_disk, 1, Qt::AlignBottom);
  card->body()->addLayout(row);
  auto* target = new QHBoxLayout;
  m_target = new QLineEdit(card);
  m_target->setObjectName("targetEdit");
  m_target->setAccessibleName(tr("File to write"));
  auto* browse = makeButton(tr("Browse…"), "browseButton", Rank::Plain, card);
  m_write = makeButton(tr("Export"), "exportButton", Rank::Primary, card);
  target->addWidget(m_target, 1);
  target->addWidget(browse);
  target->addWidget(m_write);
  card->body()->addLayout(target);
  connect(m_target, &QLineEdit::textEdited, this, [this] { m_targetEdited = true; });
  connect(m_target, &QLineEdit::textChanged, this, &ExportPage::showDisk);
  connect(browse, &QPushButton::clicked, this, &ExportPage::browse);
  connect(m_write, &QPushButton::clicked, this, &ExportPage::start);
  return card;
}

QWidget* ExportPage::buildResult() {
  m_result = new Card(tr("Done"), this);
  m_result->setObjectName("exportResultCard");
  m_done = wrapped("good", "exportDoneLabel", m_result);
  m_result->body()->addWidget(m_done);
  auto* row = new QHBoxLayout;
  m_command = new QLineEdit(m_result);
  m_command->setObjectName("commandEdit");
  m_command->setReadOnly(true);
  m_command->setAccessibleName(tr("Command that runs the file"));
  auto* copy = makeButton(tr("Copy command"), "copyCommandButton", Rank::Plain, m_result);
  connect(copy, &QPushButton::clicked, this,
          [this] { QApplication::clipboard()->setText(m_command->text()); });
  row->addWidget(m_command, 1);
  row->addWidget(copy);
  m_result->body()->addLayout(row);
  m_result->hide();
  return m_result;
}

void ExportPage::showEvent(QShowEvent* event) {
  QWidget::showEvent(event);
  if (m_stale) check();
}

QString ExportPage::defaultTarget() const {
  if (!m_document.isOpen() || m_exporter == nullptr) return {};
  QString ending = asText(m_exporter->extension);
  if (!ending.isEmpty() && !ending.startsWith('.')) ending.prepend('.');
  const QFileInfo source(QString::fromStdString(m_document.model().path().string()));
  const QString documents = QStandardPaths::writableLocation(QStandardPaths::DocumentsLocation);
  const bool beside =
      !source.path().contains("/resources/") && QFileInfo(source.path()).isWritable();
  const QString folder = beside                         ? source.path()
                         : QFileInfo::exists(documents) ? documents
                                                        : QDir::homePath();
  return QDir(folder).filePath(source.completeBaseName() + '-' + m_document.planLabel() + ending);
}

void ExportPage::setTarget(const QString& path) {
  m_target->setText(path);
  m_targetEdited = true;
}

Recipe ExportPage::chosenRecipe() const {
  Recipe recipe = m_document.recipe();
  const QString method = m_method->currentData().toString();
  if (method.isEmpty()) return recipe;
  for (Rule& rule : recipe.rules) rule.method = method.toStdString();
  return recipe;
}

void ExportPage::check() {
  m_stale = false;
  m_check.reset();
  m_problem.clear();
  if (m_document.isOpen() && m_exporter != nullptr) {
    auto checked = m_exporter->check(chosenRecipe(), m_document.model());
    if (checked) {
      m_check = std::move(*checked);
    } else {
      m_problem = QString::fromStdString(checked.error().message);
    }
  }
  if (!m_targetEdited) m_target->setText(defaultTarget());
  showCheck();
}

void ExportPage::showCheck() {
  m_changes->clear();
  m_write->setEnabled(m_check.has_value() && !m_document.jobs().anyRunning(false));
  m_loads->setVisible(m_check && !m_check->loads.empty());
  m_refuses->setVisible(m_check ? !m_check->refuses.empty() : !m_problem.isEmpty());
  m_size->setVisible(m_check.has_value());
  if (!m_check) {
    m_refuses->setText(m_problem);
    m_changesTitle->setText(m_document.isOpen() ? QString() : tr("Open a model first."));
    showDisk();
    return;
  }
  m_loads->setText(lines(m_check->loads, "✓  "));
  m_refuses->setText(lines(m_check->refuses, "✗  "));
  m_changesTitle->setText(m_check->changes.empty()
                              ? tr("Every tensor is written as the plan says.")
                              : tr("%n change(s) for this program, requested → written:", nullptr,
                                   int(m_check->changes.size())));
  for (const std::string& change : m_check->changes) {
    m_changes->addItem(QString::fromStdString(change));
  }
  m_changes->setEnabled(!m_check->changes.empty());
  m_size->setText(formatGB(m_check->plan.fileBytes));
  showDisk();
}

void ExportPage::showDisk() {
  if (!m_check) {
    m_disk->clear();
    return;
  }
  const QStorageInfo disk(QFileInfo(m_target->text()).absolutePath());
  const QString size =
      tr("%1 · %2").arg(formatGiB(m_check->plan.fileBytes), formatBpw(m_check->plan.bitsPerWeight));
  if (!disk.isValid()) {
    m_disk->setText(tr("%1 · the folder does not exist").arg(size));
    return;
  }
  m_disk->setText(
      tr("%1 · %2 free on the disk").arg(size, formatGB(uint64_t(disk.bytesAvailable()))));
}

void ExportPage::browse() {
  const QString path = QFileDialog::getSaveFileName(this, tr("Export"), m_target->text());
  if (!path.isEmpty()) setTarget(path);
}

void ExportPage::start() {
  if (!m_check || m_exporter == nullptr || m_target->text().isEmpty()) return;
  m_result->hide();
  m_document.exportTo(*m_exporter, *m_check, m_target->text());
}

void ExportPage::showDone(const QuantizeSummary& summary, const QString& command) {
  m_done->setText(tr("✓  %1 written, re-read and verified: %2 in %3")
                      .arg(QString::fromStdString(summary.path.string()), formatGB(summary.bytes),
                           formatDuration(summary.seconds)));
  m_command->setText(command);
  m_command->setCursorPosition(0);
  m_result->show();
}

}  // namespace bitloom

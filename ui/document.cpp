// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/document.h"

#include <QUndoCommand>
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/builtin.h"
#include "ui/document_private.h"
#include "ui/format.h"
#include "ui/settings.h"

namespace bitloom {
namespace {
constexpr const char* kStartCodec = "tq3_1s";  // of the built-in model's first plan
constexpr int kMeasureDelay = 30;              // ms; several changes in a row are measured once
constexpr int kFeedInterval = 100;             // ms between batches of cells
}  // namespace

class Document::RecipeCommand : public QUndoCommand {
 public:
  RecipeCommand(Document& document, Recipe before, Recipe after, const QString& text)
      : QUndoCommand(text),
        m_document(document),
        m_before(std::move(before)),
        m_after(std::move(after)) {}
  void undo() override { m_document.apply(m_before); }
  void redo() override { m_document.apply(m_after); }

 private:
  Document& m_document;
  Recipe m_before;
  Recipe m_after;
};

Document::Document(Workers& workers, WeightCache& weights, ExperimentStore store, QObject* parent)
    : QObject(parent),
      m_workers(workers),
      m_weights(weights),
      m_store(std::move(store)),
      m_jobs(workers),
      m_devices(m_jobs),
      m_template(ChatTemplate::detect({})) {
  m_measureTimer.setSingleShot(true);
  m_measureTimer.setInterval(kMeasureDelay);
  connect(&m_measureTimer, &QTimer::timeout, this, &Document::measure);
  m_feedTimer.setInterval(kFeedInterval);
  connect(&m_feedTimer, &QTimer::timeout, this, &Document::takeCells);
  connect(&m_devices, &Devices::chosenChanged, this, &Document::measureElsewhere);
  connect(&m_devices, &Devices::failed, this,
          [this](const QString& message) { emit failed(tr("Device"), message); });
}

Document::~Document() = default;

// --- model -----------------------------------------------------------------------------------

Result<Document::Opened> Document::load(const std::string& argument, WeightCache& weights,
                                        ExperimentStore& store, JobContext& job) {
  Opened opened;
  opened.work = std::make_shared<ModelWork>();
  TRY(auto path, resolveModelArgument(argument));
  TRY(opened.work->model, Model::open(path));
  opened.work->weights = &weights;
  const Model& model = *opened.work->model;
  TRY(job.checkpoint());
  if (auto tokenizer = Tokenizer::create(model.metadata())) {
    opened.work->tokenizer = std::make_shared<const Tokenizer>(std::move(*tokenizer));
  } else {
    opened.problem = tokenizer.error().message;
  }
  if (auto reference = opened.work->reference()) {
    opened.reference = std::move(*reference);
  } else {
    opened.problem = reference.error().message;
  }
  opened.chatTemplate = ChatTemplate::detect(model.metadata());
  TRY(job.checkpoint());
  TRY(opened.work->text, workingText({}));
  opened.sensitivities = readSensitivities(*opened.work, true, store);
  return opened;
}

void Document::open(const QString& path) {
  if (m_openJob != 0) m_jobs.cancel(m_openJob);
  auto store = m_store.openAnother();
  if (!store) {
    emit failed(tr("Open"), QString::fromStdString(store.error().message));
    return;
  }
  auto own = std::make_shared<ExperimentStore>(std::move(*store));
  const std::string argument = path.toStdString();
  auto id = std::make_shared<int>(0);
  *id = m_jobs.start<Opened>(
      tr("Open %1").arg(path.section('/', -1)), JobPriority::Chat, this,
      [argument, own, weights = &m_weights](JobContext& job) {
        return load(argument, *weights, *own, job);
      },
      [this, argument, id](Result<Opened> opened) {
        if (m_openJob != *id) return;  // another model was asked for meanwhile
        m_openJob = 0;
        if (opened) {
          m_builtin = argument == "builtin";
          adopt(std::move(*opened));
        } else if (opened.error().code != ErrorCode::Cancelled) {
          emit failed(tr("Open"), QString::fromStdString(opened.error().message));
        }
      },
      /*quiet=*/true);
  m_openJob = *id;
}

void Document::adopt(Opened opened) {
  forgetMeasurements();
  m_textFile.clear();
  if (m_textJob != 0) m_jobs.cancel(m_textJob);
  m_textJob = 0;
  m_work = std::move(opened.work);
  m_model = m_work->model;
  m_reference = std::move(opened.reference);
  m_template = std::move(opened.chatTemplate);
  m_inferenceProblem = QString::fromStdString(opened.problem);
  m_sensitivities = std::move(opened.sensitivities);
  m_recipePath.clear();
  m_previewing = false;
  m_undo.clear();
  listCodecs();
  const Recipe start = startRecipe();
  m_recipe = {};
  m_plan = {};
  emit modelChanged();
  if (!apply(start)) apply({});
  for (const auto& [metric, cells] : m_sensitivities) {
    emit sensitivityChanged(QString::fromStdString(metric));
  }
  emit scanChanged();
}

// Stops and forgets what was measured on a model or a text that is left.
void Document::forgetMeasurements() {
  stopScan();
  m_feed.reset();
  m_feedTimer.stop();
  m_scanJob = 0;
  if (m_measureJob != 0) m_jobs.cancel(m_measureJob);
  m_measureJob = 0;
  m_measureAgain = false;
  m_predictors.clear();
  leaveLive();
  m_probe.reset();
  m_probeText.clear();
  m_damage = {};
}

Recipe Document::startRecipe() const {
  const Settings settings;
  const QString kept =
      settings.value("session/" + QString::fromStdString(m_model->fingerprint())).toString();
  if (!kept.isEmpty()) {
    auto recipe = parseRecipe(kept.toStdString(), "the last session");
    if (recipe && resolve(*recipe, *m_model)) return *recipe;
  }
  const Codec* codec = findCodec(kStartCodec);
  return m_builtin && codec != nullptr ? uniformRecipe(*codec) : Recipe();
}

void Document::keepSession() const {
  Settings settings;
  settings.setValue("session/" + QString::fromStdString(m_model->fingerprint()),
                    QString::fromStdString(toJson(m_recipe)));
}

QString Document::modelSummary() const {
  if (!isOpen()) return {};
  const auto architecture = m_model->metadata().stringOf("general.architecture");
  QStringList parts;
  if (architecture)
    parts << QString::fromUtf8(architecture->data(), qsizetype(architecture->size()));
  if (canInfer()) parts << tr("%n block(s)", nullptr, int(graph().blocks));
  parts << tr("%1 weights").arg(formatCount(m_model->weights()))
        << tr("%1 source, %2")
               .arg(QString::fromStdString(m_model->sourceLabel()), formatGB(m_model->fileBytes()));
  return parts.join(" · ");
}

// --- recipe and plan ---------------------------------------------------------------------------

bool Document::setRecipe(const Recipe& recipe, const QString& undoText) {
  if (!isOpen()) return false;
  if (recipe == m_recipe) {
    cancelPreview();
    return true;
  }
  if (auto plan = resolve(recipe, *m_model); !plan) {
    cancelPreview();
    emit failed(undoText, QString::fromStdString(plan.error().message));
    return false;
  }
  m_undo.push(new RecipeCommand(*this, m_recipe, recipe, undoText));
  return true;
}

bool Document::apply(const Recipe& recipe) {
  auto plan = resolve(recipe, *m_model);
  if (!plan) {
    emit failed(tr("Plan"), QString::fromStdString(plan.error().message));
    return false;
  }
  m_recipe = recipe;
  keepSession();
  show(std::move(*plan), /*preview=*/false);
  return true;
}

bool Document::previewRecipe(const Recipe& recipe) {
  if (!isOpen()) return false;
  auto plan = resolve(recipe, *m_model);
  if (!plan) return false;
  show(std::move(*plan), /*preview=*/true);
  return true;
}

void Document::cancelPreview() {
  if (!m_previewing) return;
  if (auto plan = resolve(m_recipe, *m_model)) show(std::move(*plan), /*preview=*/false);
}

void Document::show(Plan plan, bool preview) {
  m_plan = std::move(plan);
  m_previewing = preview;
  const Prediction predicted = prediction();
  m_damage = {};
  m_damage.value = predicted.value;
  m_damage.error = predicted.error;
  m_damage.predicted = predicted;
  if (std::isfinite(predicted.value)) {
    m_damage.kind = Damage::Kind::Predicted;
  } else if (!canInfer()) {
    m_damage.note = m_inferenceProblem;
  } else {
    m_damage.note = preview ? tr("measured on release") : tr("not measured yet");
  }
  emit planChanged();
  emit damageChanged();
  if (!preview) measureSoon();
}

QString Document::planLabel() const {
  if (!isOpen()) return {};
  const Codec* common = nullptr;
  bool mixed = false;
  for (const Choice& choice : m_plan.tensors) {
    if (choice.requested == nullptr) continue;
    if (common != nullptr && choice.requested != common) mixed = true;
    common = choice.requested;
  }
  if (common == nullptr) return tr("source");
  if (mixed && !m_recipe.name.empty()) {
    return QString::fromStdString(m_recipe.name).replace(' ', '-').replace('/', '-');
  }
  if (mixed) return tr("mix-%1bpw").arg(m_plan.bitsPerWeight, 0, 'f', 2);
  return QString::fromUtf8(common->name.data(), qsizetype(common->name.size()));
}

namespace {

void removeExact(Recipe& recipe, const std::string& name) {
  std::erase_if(recipe.rules, [&](const Rule& rule) { return rule.pattern == name; });
}

std::string codecNameOf(const Choice& choice, const Tensor& tensor) {
  const Codec* codec = choice.requested != nullptr ? choice.requested : tensor.codec;
  return codec == nullptr ? std::string() : std::string(codec->name);
}

}  // namespace

Recipe Document::withCodec(const std::vector<size_t>& tensors, const std::string& codec,
                           const std::string& why) const {
  Recipe recipe = m_recipe;
  recipe.name.clear();
  for (const size_t index : tensors) {
    const Tensor& tensor = m_model->tensors()[index];
    if (tensor.codec == nullptr) continue;
    const bool pinned = isPinned(index);
    removeExact(recipe, tensor.name);
    recipe.rules.push_back(Rule{.pattern = tensor.name,
                                .codec = codec.empty() ? std::string(tensor.codec->name) : codec,
                                .options = {},
                                .why = why,
                                .pinned = pinned});
  }
  return recipe;
}

Recipe Document::withPin(const std::vector<size_t>& tensors, bool pinned) const {
  Recipe recipe = m_recipe;
  for (const size_t index : tensors) {
    const Tensor& tensor = m_model->tensors()[index];
    const Choice& choice = m_plan.tensors[index];
    const std::string codec = codecNameOf(choice, tensor);
    if (codec.empty()) continue;
    removeExact(recipe, tensor.name);
    Rule rule{.pattern = tensor.name,
              .codec = codec,
              .options = choice.options,
              .why = pinned ? "pinned" : "unpinned",
              .pinned = pinned};
    if (choice.method != nullptr) rule.method = std::string(choice.method->name);
    recipe.rules.push_back(std::move(rule));
  }
  return recipe;
}

bool Document::isPinned(size_t tensor) const {
  return tensor < m_plan.tensors.size() && m_plan.tensors[tensor].pinned;
}

std::map<std::string, std::string> Document::pins() const {
  std::map<std::string, std::string> result;
  for (const Choice& choice : m_plan.tensors) {
    if (!choice.pinned) continue;
    const Tensor& tensor = m_model->tensors()[choice.tensor];
    const std::string codec = codecNameOf(choice, tensor);
    if (!codec.empty()) result[tensor.name] = codec;
  }
  return result;
}

}  // namespace bitloom

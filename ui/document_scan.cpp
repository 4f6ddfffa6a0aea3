// SPDX-License-Identifier: GPL-3.0-or-later
// Sensitivities: read from the store and from a scan that ships beside the model, grown by scans,
// used for predictions and by the solver.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>

#include "ui/document_private.h"

namespace bitloom {
namespace {
constexpr auto kLookInterval = std::chrono::seconds(1);  // at how a scan is computed
}  // namespace

void Document::ScanFeed::tell(const Cell& cell) {
  const std::scoped_lock lock(mutex);
  cells.push_back(cell);
}

void Document::ScanFeed::tell(DeviceUse news) {
  const std::scoped_lock lock(mutex);
  use = std::move(news);
}

Document::Sensitivities Document::readSensitivities(const ModelWork& work, bool builtinText,
                                                    ExperimentStore& store) {
  Sensitivities result;
  const Model& model = *work.model;
  std::filesystem::path shipped = model.path();
  shipped.replace_extension(".scan.json");
  if (std::error_code ignored; builtinText && std::filesystem::exists(shipped, ignored)) {
    if (auto cells = loadSensitivity(shipped); cells && cells->fingerprint == model.fingerprint()) {
      result[cells->metric] = std::move(*cells);
    }
  }
  for (const Metric* metric : metrics()) {
    const ScanRequest request = scanRequest(*metric, {}, work.text);
    auto key = scanKey(model, work.tokenizer.get(), request);
    if (!key) continue;
    auto known = store.findScan(*key);
    if (!known || !*known) continue;
    auto cells = store.cells(**known);
    if (!cells || cells->cells.empty()) continue;
    Sensitivity& all = result[std::string(metric->name)];
    if (all.textHash != key->textHash) all = {};  // never mixes two texts
    all.metric = std::string(metric->name);
    all.fingerprint = key->fingerprint;
    all.text = request.textName;
    all.textHash = key->textHash;
    all.plans = std::move(cells->plans);
    for (Cell& cell : cells->cells) {
      if (all.find(cell.tensor, cell.codec) == nullptr) all.cells.push_back(std::move(cell));
    }
  }
  return result;
}

void Document::setTextFile(const QString& path) {
  if (!isOpen()) return;
  if (m_textJob != 0) m_jobs.cancel(m_textJob);
  m_textJob = 0;
  if (path == m_textFile) return emit textChanged();
  auto store = m_store.openAnother();
  if (!store) {
    emit failed(tr("Text"), QString::fromStdString(store.error().message));
    return emit textChanged();
  }
  auto own = std::make_shared<ExperimentStore>(std::move(*store));
  const std::filesystem::path file = path.toStdString();
  auto id = std::make_shared<int>(0);
  *id = m_jobs.start<OtherText>(
      tr("Read %1").arg(path.isEmpty() ? tr("the built-in text") : path.section('/', -1)),
      JobPriority::Chat, this,
      [own, file, work = m_work](JobContext&) -> Result<OtherText> {
        OtherText other;
        other.work = std::make_shared<ModelWork>();
        other.work->model = work->model;
        other.work->tokenizer = work->tokenizer;
        other.work->weights = work->weights;
        TRY(other.work->text, workingText(file));
        if (work->tokenizer != nullptr) {
          TRY(probeTokens(*work->tokenizer, other.work->text.text, findMetric("kld")->probe));
        }
        other.sensitivities = readSensitivities(*other.work, file.empty(), *own);
        return other;
      },
      [this, path, id](Result<OtherText> other) {
        if (*id != m_textJob) return;  // another model, or another text, was asked for meanwhile
        m_textJob = 0;
        if (other) return adopt(std::move(*other), path);
        if (other.error().code != ErrorCode::Cancelled) {
          emit failed(tr("Text"), QString::fromStdString(other.error().message));
        }
        emit textChanged();
      },
      /*quiet=*/true);
  m_textJob = *id;
}

void Document::adopt(OtherText other, const QString& path) {
  forgetMeasurements();
  m_work = std::move(other.work);
  m_textFile = path;
  m_sensitivities = std::move(other.sensitivities);
  emit textChanged();
  for (const Metric* metric : metrics()) {
    emit sensitivityChanged(QString::fromUtf8(metric->name.data(), qsizetype(metric->name.size())));
  }
  emit scanChanged();
  show(Plan(m_plan), m_previewing);
}

// Cells that are about to change: what was made of them is no longer right.
Sensitivity& Document::changeCells(const std::string& metric) {
  m_predictors.erase(metric);
  return m_sensitivities[metric];
}

const Predictor& Document::predictorOf(const std::string& metric) const {
  return m_predictors.try_emplace(metric, *m_model, sensitivity(metric)).first->second;
}

const Sensitivity& Document::sensitivity(const std::string& metric) const {
  static const Sensitivity kEmpty;
  const auto at = m_sensitivities.find(metric);
  return at == m_sensitivities.end() ? kEmpty : at->second;
}

void Document::startScan(const std::string& metric, const std::vector<std::string>& names) {
  if (isScanning() || !isOpen()) return;
  const Metric* item = findMetric(metric);
  std::vector<const Codec*> codecs;
  for (const std::string& name : names) {
    if (const Codec* codec = findCodec(name)) codecs.push_back(codec);
  }
  auto store = m_store.openAnother();
  if (item == nullptr || codecs.empty() || !canInfer() || !store) {
    const std::string why = !store        ? store.error().message
                            : !canInfer() ? m_inferenceProblem.toStdString()
                                          : strCat("Nothing to scan for ", metric, ".");
    emit failed(tr("Scan"), QString::fromStdString(why));
    return;
  }
  m_feed = std::make_shared<ScanFeed>();
  m_feed->metric = metric;
  auto own = std::make_shared<ExperimentStore>(std::move(*store));
  auto work = [item, codecs, own, feed = m_feed, model = m_work,
               chosen = m_devices.forJob()](JobContext& job) -> Result<Sensitivity> {
    const ScanRequest request = scanRequest(*item, codecs, model->text);
    TRY(auto reference, model->reference());
    JobDevice device = chosen;
    device.open();
    device.computeOn(reference);
    feed->tell(device.use(reference));
    auto looked = std::chrono::steady_clock::now();
    const CellSink sink = [&](const Cell& cell) -> Result<void> {
      feed->tell(cell);
      if (const auto now = std::chrono::steady_clock::now(); now - looked > kLookInterval) {
        looked = now;
        feed->tell(device.use(reference));
      }
      return {};
    };
    auto result = scan(reference, model->tokenizer.get(), request, *own, sink, job);
    feed->tell(device.use(reference));
    return result;
  };
  QString title = tr("Scan · %1 at %n codec(s)", nullptr, int(codecs.size()))
                      .arg(QString::fromUtf8(item->title.data(), qsizetype(item->title.size())));
  if (const QString device = m_devices.chosenName(); !device.isEmpty()) title += " · " + device;
  m_scanJob = m_jobs.start<Sensitivity>(
      title, JobPriority::Scan, this, work, [this, feed = m_feed](Result<Sensitivity> result) {
        if (feed == m_feed) scanned(*feed, std::move(result));  // else: of what was left
        emit runsChanged();
      });
  m_feedTimer.start();
  emit scanChanged();
}

void Document::scanned(const ScanFeed& feed, Result<Sensitivity> result) {
  takeCells();
  m_feed.reset();
  m_feedTimer.stop();
  m_scanJob = 0;
  if (result) {
    // The scan's header (text, hash, tokens) with every cell, also those of other codecs.
    Sensitivity& all = changeCells(result->metric);
    if (all.textHash.empty() || all.textHash == result->textHash) {
      for (const Cell& cell : result->cells) mergeCell(all, cell);
      result->cells = std::move(all.cells);
    }
    all = std::move(*result);
    emit sensitivityChanged(QString::fromStdString(feed.metric));
  } else if (result.error().code != ErrorCode::Cancelled) {
    emit failed(tr("Scan"), QString::fromStdString(result.error().message));
  }
  emit scanChanged();
}

void Document::stopScan() {
  if (m_scanJob != 0) m_jobs.cancel(m_scanJob);
}

bool Document::isScanning() const { return m_scanJob != 0 && m_jobs.isRunning(m_scanJob); }

void Document::takeCells() {
  if (m_feed == nullptr) return;
  std::vector<Cell> cells;
  std::optional<DeviceUse> use;
  {
    const std::scoped_lock lock(m_feed->mutex);
    cells.swap(m_feed->cells);
    use.swap(m_feed->use);
  }
  if (use) m_devices.report(*use);
  if (cells.empty()) return;
  Sensitivity& all = changeCells(m_feed->metric);
  all.metric = m_feed->metric;
  all.fingerprint = m_model->fingerprint();
  const QString metric = QString::fromStdString(m_feed->metric);
  for (const Cell& cell : cells) {
    mergeCell(all, cell);
    emit cellMeasured(metric, cell);
  }
}

void Document::mergeCell(Sensitivity& into, const Cell& cell) {
  const auto at = std::find_if(into.cells.begin(), into.cells.end(), [&](const Cell& known) {
    return known.tensor == cell.tensor && known.codec == cell.codec;
  });
  if (at == into.cells.end()) {
    into.cells.push_back(cell);
  } else {
    *at = cell;
  }
}

const Sensitivity& Document::predictingCells() const {
  for (const Metric* metric : metricsByWorth()) {
    const std::string name(metric->name);
    const Sensitivity& cells = sensitivity(name);
    if (!(metric->measured || metric->quadratic) || cells.cells.empty()) continue;
    if (std::isfinite(predictorOf(name).predict(m_plan).value)) return cells;
  }
  return sensitivity("kld");
}

const Predictor& Document::predictor() const {
  const Sensitivity& cells = predictingCells();
  return predictorOf(cells.metric.empty() ? "kld" : cells.metric);
}

Prediction Document::prediction() const { return predictor().predict(m_plan); }

Result<Solution> Document::solveFor(uint64_t fileBytes,
                                    const std::vector<const Codec*>& codecs) const {
  if (!canInfer()) return makeError(ErrorCode::Unsupported, m_inferenceProblem.toStdString());
  AllocationRequest request;
  request.fileBytes = fileBytes;
  request.codecs = codecs;
  request.pins = pins();
  request.profile = m_recipe.profile;
  JobControl control;
  JobContext job(m_workers, control, JobPriority::Probe);
  std::optional<Error> first;
  for (const Metric* metric : metricsByWorth()) {
    const Sensitivity& cells = sensitivity(std::string(metric->name));
    if (cells.cells.empty()) continue;
    auto solution = solve(*m_model, graph(), cells, request, job);
    if (solution) return solution;
    if (!first) first = solution.error();
  }
  if (first) return *first;
  return makeError(ErrorCode::NotFound, m_model->name(),
                   ": the solver needs a scan, and there is none yet.");
}

Result<SizeRange> Document::sizeRange(const std::vector<const Codec*>& codecs) const {
  if (!canInfer()) return makeError(ErrorCode::Unsupported, m_inferenceProblem.toStdString());
  AllocationRequest request;
  request.codecs = codecs;
  request.pins = pins();
  request.profile = m_recipe.profile;
  return reachableSizes(*m_model, graph(), request);
}

// The ladder leaves out codecs for models trained in them, unless the model is, and codecs whose
// layout does not fit most of its weights, which would become something else. Among codecs of one
// width it takes the source's own, then one that the recipe's runtime knows, then the one of least
// error.
void Document::listCodecs() {
  m_choices.clear();
  m_ladder.clear();
  std::map<const Codec*, uint64_t> own;  // weights by what they are stored as
  double widest = 0;
  for (const Tensor& tensor : m_model->tensors()) {
    if (!isQuantizable(tensor)) continue;
    own[tensor.codec] += tensor.weights();
    widest = std::max(widest, tensor.codec->bits);
  }
  for (const Codec* codec : codecs()) {
    if (codec->encode != nullptr && codec->bits <= std::min(widest, 16.0)) {
      m_choices.push_back(codec);
    }
  }
  std::stable_sort(m_choices.begin(), m_choices.end(),
                   [](const Codec* a, const Codec* b) { return a->bits < b->bits; });
  const RuntimeProfile* profile = findProfile(Recipe().profile);
  const auto fits = [this](const Codec* codec) {
    uint64_t held = 0, all = 0;
    for (const Tensor& tensor : m_model->tensors()) {
      if (!isQuantizable(tensor)) continue;
      all += tensor.weights();
      if (codec->rowBytes(tensor.rowLength()) != 0) held += tensor.weights();
    }
    return 2 * held >= all;
  };
  const auto isBetter = [&](const Codec* a, const Codec* b) {
    if (own.count(a) != own.count(b)) return own.count(a) > own.count(b);
    const bool knownA = profile != nullptr && profile->find(a->name) != nullptr;
    const bool knownB = profile != nullptr && profile->find(b->name) != nullptr;
    return knownA != knownB ? knownA : gaussianError(*a) < gaussianError(*b);
  };
  for (const Codec* codec : m_choices) {
    if (own.count(codec) == 0 && (codec->forTrained || !fits(codec))) continue;
    if (m_ladder.empty() || m_ladder.back()->bits != codec->bits) {
      m_ladder.push_back(codec);
    } else if (isBetter(codec, m_ladder.back())) {
      m_ladder.back() = codec;
    }
  }
}

}  // namespace bitloom

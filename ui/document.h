// SPDX-License-Identifier: GPL-3.0-or-later
// What the window is about: one open model, one recipe (edited, undone, saved), its plan, its
// sensitivities and measurements. Pages show it and ask it for changes; no page knows another.
// Lives on the window's thread; long work goes through `jobs()`.
#pragma once
#include <QObject>
#include <QString>
#include <QTimer>
#include <QUndoStack>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/experiments/store.h"
#include "core/exporter.h"
#include "core/inference/chat_template.h"
#include "core/live_loop.h"
#include "core/metric.h"
#include "core/quantize.h"
#include "core/recipe.h"
#include "core/variant.h"
#include "ui/devices.h"
#include "ui/jobs/job_list.h"
#include "ui/model_work.h"

namespace bitloom {

class Document : public QObject {
  Q_OBJECT

 public:
  // ΔKLD as shown in the header: predicted while dragging, measured after release.
  struct Damage {
    enum class Kind { Unknown, Predicted, Measuring, Measured } kind = Kind::Unknown;
    double value = 0;
    double error = 0;
    double seconds = 0;    // of the measurement
    uint32_t tokens = 0;   // probe tokens
    QString note;          // why unknown, for people
    Prediction predicted;  // beside what was measured; NaN when the cells do not cover the plan
  };

  Document(Workers& workers, WeightCache& weights, ExperimentStore store,
           QObject* parent = nullptr);
  ~Document() override;

  // --- model -------------------------------------------------------------------------------
  // Opens in the background; `modelChanged` or `failed` follows. "builtin" is the built-in model.
  void open(const QString& path);
  bool isOpen() const { return m_model != nullptr; }
  const Model& model() const { return *m_model; }  // only when open
  std::shared_ptr<const Model> sharedModel() const { return m_model; }
  const Graph& graph() const { return m_reference->graph(); }  // only when canInfer()
  bool canInfer() const { return m_reference.has_value(); }
  QString inferenceProblem() const { return m_inferenceProblem; }  // why not
  const Tokenizer* tokenizer() const { return m_work ? m_work->tokenizer.get() : nullptr; }
  std::shared_ptr<ModelWork> work() const { return m_work; }  // for jobs; null when not open
  const ChatTemplate& chatTemplate() const { return m_template; }
  WeightCache& weights() { return m_weights; }
  bool isOpening() const { return m_openJob != 0; }
  QString modelSummary() const;  // "llama · 12 blocks · 11.0 M weights · F16 source, 23.2 MB"

  // --- recipe and plan ---------------------------------------------------------------------
  const Recipe& recipe() const { return m_recipe; }
  const Plan& plan() const { return m_plan; }  // of the recipe, or of the preview while dragging
  // One undo step. Refused (signal `failed`) when it does not resolve.
  bool setRecipe(const Recipe& recipe, const QString& undoText);
  // While dragging: shown everywhere, on no stack; `setRecipe` or `cancelPreview` ends it.
  bool previewRecipe(const Recipe& recipe);
  void cancelPreview();
  bool isPreviewing() const { return m_previewing; }
  QUndoStack* undoStack() { return &m_undo; }
  QString planLabel() const;  // "tq3_1s", "mix-3.42bpw": names files and runs
  // Recipe files. Saving marks the undo stack clean and stores a run of kind Plan.
  bool saveRecipeTo(const QString& path);
  bool loadRecipeFrom(const QString& path);  // one undo step
  QString recipePath() const { return m_recipePath; }

  // Edits as recipes: exact-name rules on top of the current one. Empty codec: back to the source.
  Recipe withCodec(const std::vector<size_t>& tensors, const std::string& codec,
                   const std::string& why) const;
  Recipe withPin(const std::vector<size_t>& tensors, bool pinned) const;
  bool isPinned(size_t tensor) const;
  std::map<std::string, std::string> pins() const;  // exact names → codec

  // --- sensitivity -------------------------------------------------------------------------
  // Cells of a metric, as far as they are known; they grow while a scan runs.
  const Sensitivity& sensitivity(const std::string& metric) const;
  // Starts or continues a scan; cells arrive through `cellMeasured`. One scan at a time.
  void startScan(const std::string& metric, const std::vector<std::string>& codecs);
  // The text that scans and probes read: a file, or empty for the built-in one. What is known of
  // another text is read in the background; `textChanged` or `failed` follows, and a running scan
  // stops.
  void setTextFile(const QString& path);
  QString textFile() const { return m_textFile; }
  void stopScan();
  bool isScanning() const;
  int scanJob() const { return m_scanJob; }
  // Cells that predict what a plan measures: those of `kld` or of the sketch.
  const Sensitivity& predictingCells() const;
  const Predictor& predictor() const;  // by these; kept until they change
  Prediction prediction() const;       // of plan(); NaN when they do not cover it

  // Solves for a file size around the pins. Instant allocator; empty with a reason when impossible.
  Result<Solution> solveFor(uint64_t fileBytes, const std::vector<const Codec*>& codecs) const;
  Result<SizeRange> sizeRange(const std::vector<const Codec*>& codecs) const;
  // Every codec that can hold this model no wider than it is, by bits: what lists offer.
  const std::vector<const Codec*>& choices() const { return m_choices; }
  // One of them for each width: the steps of faders, what the solver chooses from.
  const std::vector<const Codec*>& ladder() const { return m_ladder; }

  // --- live loop ---------------------------------------------------------------------------
  const Damage& damage() const { return m_damage; }
  const std::optional<ProbeResult>& probe() const { return m_probe; }
  QString probeText() const { return m_probeText; }  // end of the first sequence, for people

  // --- jobs, devices and store -------------------------------------------------------------
  JobList& jobs() { return m_jobs; }
  Devices& devices() { return m_devices; }  // another one chosen: the live loop begins anew
  ExperimentStore& store() { return m_store; }
  void quantizeTo(const QString& path);  // returns at once; `quantized` or `failed` follows
  void exportTo(const Exporter& exporter, const ExportCheck& check, const QString& path);
  // After anything was stored outside: the Runs page reloads.
  void announceRuns() { emit runsChanged(); }

 signals:
  void modelChanged();
  void planChanged();
  void damageChanged();
  void sensitivityChanged(const QString& metric);  // many cells at once, or another model
  void cellMeasured(const QString& metric, const Cell& cell);
  void scanChanged();  // started, stopped
  void textChanged();
  void runsChanged();
  void quantized(const QuantizeSummary& summary);
  void exported(const QuantizeSummary& summary, const QString& command);
  void failed(const QString& what, const QString& message);  // shown on the page, not modal

 private:
  class RecipeCommand;
  struct Opened;
  struct OtherText;
  struct Live;
  struct ScanFeed;
  static Result<Opened> load(const std::string& argument, WeightCache& weights,
                             ExperimentStore& store, JobContext& job);
  using Sensitivities = std::map<std::string, Sensitivity>;
  static Sensitivities readSensitivities(const ModelWork& work, bool builtinText,
                                         ExperimentStore& store);
  void adopt(OtherText other, const QString& path);
  void forgetMeasurements();
  Sensitivity& changeCells(const std::string& metric);
  const Predictor& predictorOf(const std::string& metric) const;
  void adopt(Opened opened);
  Recipe startRecipe() const;
  bool apply(const Recipe& recipe);  // resolves, shows, schedules the measurement
  void show(Plan plan, bool preview);
  void keepSession() const;
  void listCodecs();
  void measureSoon();
  void measure();
  void measureElsewhere();
  void leaveLive();
  void measured(Result<ProbeResult> result, const std::string& planHash);
  void takeCells();
  void scanned(const ScanFeed& feed, Result<Sensitivity> result);
  void mergeCell(Sensitivity& into, const Cell& cell);
  void writeJob(
      const QString& title, Run run, const QString& path,
      std::function<Result<QuantizeSummary>(ModelWork&, const std::filesystem::path&, JobContext&)>
          write,
      std::function<void(const QuantizeSummary&)> done);

  Workers& m_workers;
  WeightCache& m_weights;
  ExperimentStore m_store;
  JobList m_jobs;
  Devices m_devices;
  std::shared_ptr<const Model> m_model;
  std::shared_ptr<ModelWork> m_work;
  std::optional<Variant> m_reference;
  ChatTemplate m_template;
  QString m_inferenceProblem;
  int m_openJob = 0;
  bool m_builtin = false;
  Recipe m_recipe;
  QString m_recipePath;
  Plan m_plan;
  bool m_previewing = false;
  QUndoStack m_undo;
  Sensitivities m_sensitivities;
  mutable std::map<std::string, Predictor> m_predictors;  // of them; made when needed
  QString m_textFile;
  int m_textJob = 0;
  std::vector<const Codec*> m_choices;
  std::vector<const Codec*> m_ladder;
  int m_scanJob = 0;
  std::shared_ptr<ScanFeed> m_feed;
  QTimer m_feedTimer;
  Damage m_damage;
  std::optional<ProbeResult> m_probe;
  QString m_probeText;
  std::shared_ptr<Live> m_live;  // used by one job at a time
  int m_measureJob = 0;
  bool m_measureAgain = false;
  QTimer m_measureTimer;
};

}  // namespace bitloom

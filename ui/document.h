// SPDX-License-Identifier: GPL-3.0-or-later
// What the window is about: one open model, one recipe (edited, undone, saved), its plan, its
// sensitivities and measurements. Pages show it and ask it for changes; no page knows another.
// Lives on the window's thread; long work goes through `jobs()`.
#pragma once
#include <QObject>
#include <QString>
#include <QUndoStack>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/experiments/store.h"
#include "core/inference/chat_template.h"
#include "core/inference/tokenizer.h"
#include "core/live_loop.h"
#include "core/metric.h"
#include "core/quantize.h"
#include "core/recipe.h"
#include "core/variant.h"
#include "ui/jobs/job_list.h"

namespace bitloom {

class Document : public QObject {
  Q_OBJECT

 public:
  // ΔKLD as shown in the header: predicted while dragging, measured after release.
  struct Damage {
    enum class Kind { Unknown, Predicted, Measuring, Measured } kind = Kind::Unknown;
    double value = 0;
    double error = 0;
    double seconds = 0;      // of the measurement
    uint32_t tokens = 0;     // probe tokens
    QString note;            // why unknown, for people
  };

  Document(Workers& workers, WeightCache& weights, ExperimentStore store,
           QObject* parent = nullptr);
  ~Document() override;

  // --- model -------------------------------------------------------------------------------
  // Opens in the background; `modelChanged` or `failed` follows. "builtin" is the built-in model.
  void open(const QString& path);
  bool isOpen() const { return m_model != nullptr; }
  const Model& model() const { return *m_model; }             // only when open
  std::shared_ptr<const Model> sharedModel() const { return m_model; }
  const Graph& graph() const { return m_reference->graph(); }  // only when canInfer()
  bool canInfer() const { return m_reference.has_value(); }
  QString inferenceProblem() const { return m_inferenceProblem; }  // why not
  const Tokenizer* tokenizer() const { return m_tokenizer ? m_tokenizer.get() : nullptr; }
  const ChatTemplate& chatTemplate() const { return m_template; }
  WeightCache& weights() { return m_weights; }

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
  void stopScan();
  bool isScanning() const;
  int scanJob() const { return m_scanJob; }
  Prediction prediction() const;  // of plan(), by the `kld` cells; NaN when they do not cover it

  // Solves for a file size around the pins. Instant allocator; empty with a reason when impossible.
  Result<Solution> solveFor(uint64_t fileBytes, const std::vector<const Codec*>& codecs) const;
  Result<SizeRange> sizeRange(const std::vector<const Codec*>& codecs) const;
  // Ladder of codecs that faders and solver use, by bits.
  const std::vector<const Codec*>& ladder() const { return m_ladder; }

  // --- live loop ---------------------------------------------------------------------------
  const Damage& damage() const { return m_damage; }
  const std::optional<ProbeResult>& probe() const { return m_probe; }
  QString probeText() const { return m_probeText; }  // end of the first sequence, for people

  // --- jobs and store ----------------------------------------------------------------------
  JobList& jobs() { return m_jobs; }
  ExperimentStore& store() { return m_store; }
  void quantizeTo(const QString& path);
  // After anything was stored outside: the Runs page reloads.
  void announceRuns() { emit runsChanged(); }

 signals:
  void modelChanged();
  void planChanged();
  void damageChanged();
  void sensitivityChanged(const QString& metric);  // many cells at once, or another model
  void cellMeasured(const QString& metric, const Cell& cell);
  void scanChanged();  // started, stopped
  void runsChanged();
  void quantized(const QuantizeSummary& summary);
  void failed(const QString& what, const QString& message);  // shown on the page, not modal

 private:
  class RecipeCommand;
  struct Opened;
  void adopt(Opened opened);
  bool apply(const Recipe& recipe);  // resolves, shows, schedules the measurement
  void loadSensitivities();
  void measureSoon();

  Workers& m_workers;
  WeightCache& m_weights;
  ExperimentStore m_store;
  JobList m_jobs;
  std::shared_ptr<const Model> m_model;
  std::optional<Variant> m_reference;
  std::unique_ptr<Tokenizer> m_tokenizer;
  ChatTemplate m_template;
  QString m_inferenceProblem;
  Recipe m_recipe;
  Plan m_plan;
  bool m_previewing = false;
  QUndoStack m_undo;
  std::map<std::string, Sensitivity> m_sensitivities;
  std::vector<const Codec*> m_ladder;
  int m_scanJob = 0;
  Damage m_damage;
  std::optional<ProbeResult> m_probe;
  QString m_probeText;
  struct Live;  // the LiveLoop with its variant; used by one job at a time
  std::shared_ptr<Live> m_live;
};

}  // namespace bitloom

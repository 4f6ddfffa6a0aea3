// SPDX-License-Identifier: GPL-3.0-or-later
// Everything that was tried, in one SQLite file (WAL, numbered migrations by PRAGMA user_version).
// SQLite is the truth: cells are inserted as they are measured. A store object is one connection
// and belongs to one thread; open the same file again for another (`openAnother`).
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/evaluate.h"
#include "core/recipe.h"
#include "core/sensitivity.h"

namespace bitloom {

enum class RunKind { Scan, Plan, Quantize, Evaluate, Export, Chat };
std::string_view name(RunKind kind);

struct Run {
  int64_t id = 0;
  RunKind kind = RunKind::Plan;
  std::string created;      // ISO 8601, UTC; filled in by the store
  std::string model;        // name, for people
  std::string fingerprint;  // of the source model
  std::string title;        // "TQ3_1S uniform", "mix 96 MiB"
  std::string state;        // "running", "done", "cancelled", "failed", "interrupted"
  std::string recipeJson;   // exact recipe; empty when the run has none
  std::string planHash;
  uint64_t bytes = 0;
  double bitsPerWeight = 0;
  std::string path;        // of a written file
  std::string resultJson;  // figures of the run, keys as in the command line's --json
  std::string notes;
};

struct Vote {
  int64_t run = 0;  // of kind Chat
  std::string prompt;
  std::string left, right;  // titles of the columns
  std::string leftText, rightText;
  std::string winner;  // "left", "tie", "right"
  bool blind = false;
};

struct ScanKey {
  std::string fingerprint, metric, method, textHash;
};

class ExperimentStore {
 public:
  // Creates the file and its folder; refuses one written by a newer version. `integrity_check`
  // failures are Corrupt and name the file. Runs left `running` by a dead process become
  // `interrupted`.
  static Result<ExperimentStore> open(const std::filesystem::path& file);
  static std::filesystem::path defaultPath();  // in the user's data folder
  ExperimentStore(ExperimentStore&&) noexcept;
  ExperimentStore& operator=(ExperimentStore&&) noexcept;
  ~ExperimentStore();

  Result<ExperimentStore> openAnother() const;
  const std::filesystem::path& path() const;

  Result<int64_t> add(const Run& run);
  Result<void> update(const Run& run);  // all fields but id, kind and created
  Result<Run> run(int64_t id) const;
  Result<std::vector<Run>> runs(const std::string& fingerprint = {}) const;  // newest first
  Result<void> remove(int64_t id);
  Result<void> restore(int64_t id);  // undoes `remove`

  // Finds or makes the scan with this key; its run's id.
  Result<int64_t> beginScan(const ScanKey& key, const Run& run);
  Result<std::optional<int64_t>> findScan(const ScanKey& key) const;
  Result<void> addCell(int64_t scan, const Cell& cell);  // replaces the same tensor × codec
  Result<Sensitivity> cells(int64_t scan) const;
  Result<void> addTrial(int64_t scan, const PredictedPlan& plan);    // comes back with the cells
  Result<void> addCells(int64_t scan, std::span<const Cell> cells);  // in one transaction

  Result<void> addVote(const Vote& vote);
  Result<std::vector<Vote>> votes() const;

 private:
  struct State;
  explicit ExperimentStore(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace bitloom

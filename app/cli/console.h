// SPDX-License-Identifier: GPL-3.0-or-later
// The terminal's end of a command: options that every verb has, the worker pool, Ctrl+C, progress
// on stderr (a bar on a terminal, a line every few seconds otherwise), and the way errors are told.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/job.h"
#include "core/experiments/store.h"
#include "core/inference/backend.h"
#include "core/variant.h"

namespace bitloom::cli {

using Json = nlohmann::ordered_json;

enum ExitCode { kDone = 0, kFailed = 1, kUsage = 2, kCancelled = 130 };

// How runs of a model are computed.
struct Arithmetic {
  Precision precision = Precision::Measure;
  std::shared_ptr<Backend> backend;  // null: the CPU
};

class Console {
 public:
  Console();
  ~Console();

  // Adds --json, --threads, --backend, --device, --exact, --store and --quiet to a verb.
  void addOptions(CLI::App& verb);

  bool json = false;
  bool quiet = false;
  bool exact = false;
  int threads = 0;
  std::string backend = "cpu";
  std::string device;  // place in the list, UUID or part of the name; empty: the best one
  std::string storePath;

  Arithmetic arithmetic() const {
    return {exact ? Precision::Exact : Precision::Measure, m_backend};
  }

  // Opens the backend that was asked for.
  Result<void> openBackend();
  // What did not go as asked on the backend, on stderr.
  void tellNotes() const;

  Result<ExperimentStore> openStore() const;
  Workers& workers();

  // Runs `work` with a job context; shows its progress under `title`.
  template <typename T>
  Result<T> run(const std::string& title, JobPriority priority,
                const std::function<Result<T>(JobContext&)>& work) {
    Progress progress(*this, title);
    JobContext job(workers(), *progress.control, priority);
    try {
      return work(job);
    } catch (const std::bad_alloc&) {
      return makeError(ErrorCode::OutOfMemory, title, ": the machine has not enough memory.");
    }
  }

  void note(const std::string& line) const;                       // stderr, unless --quiet
  void print(const Json& object, const std::string& text) const;  // --json or plain, on stdout

 private:
  struct Progress {
    Progress(Console& owner, const std::string& name);
    ~Progress();
    std::unique_ptr<JobControl> control;
    struct Painter;
    std::unique_ptr<Painter> painter;
  };
  std::unique_ptr<Workers> m_workers;
  std::shared_ptr<Backend> m_backend;
};

// Says the error in one sentence on stderr; the exit code.
int report(const Error& error);

}  // namespace bitloom::cli

// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/console.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <thread>

namespace bitloom::cli {
namespace {

std::atomic<JobControl*> g_running = nullptr;  // written by Progress, read by the signal handler
std::atomic<bool> g_interrupted = false;

void onInterrupt(int) {
  g_interrupted = true;
  if (JobControl* control = g_running.load()) control->cancel();
}

std::string clock(double seconds) {
  const long whole = std::lround(seconds);
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%ld h %02ld min", whole / 3600, whole / 60 % 60);
  } else if (whole >= 60) {
    std::snprintf(text, sizeof text, "%ld min %02ld s", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld s", whole);
  }
  return text;
}

std::string amount(uint64_t done, uint64_t total, const std::string& unit) {
  if (unit == "bytes") return decimalSize(done) + " of " + decimalSize(total);
  return grouped(done) + " of " + grouped(total) + " " + unit;
}

}  // namespace

// A thread that paints until it is destroyed.
struct Console::Progress::Painter {
  Painter(const JobControl& watched, std::string name)
      : control(watched), title(std::move(name)), terminal(::isatty(STDERR_FILENO) == 1) {
    thread = std::thread([this] { loop(); });
  }

  ~Painter() {
    {
      std::lock_guard lock(mutex);
      stop = true;
    }
    wake.notify_all();
    thread.join();
    if (painted && terminal) std::fputs("\r\x1b[K", stderr);
  }

  void loop() {
    std::unique_lock lock(mutex);
    const auto interval = std::chrono::milliseconds(terminal ? 200 : 5000);
    while (!wake.wait_for(lock, interval, [this] { return stop; })) paint();
  }

  void paint() {
    const JobProgress progress = control.progress();
    if (progress.total == 0) return;
    painted = true;
    const double share = std::min(1.0, double(progress.done) / double(progress.total));
    std::string line = title + "  " + amount(progress.done, progress.total, progress.unit);
    if (progress.done > 0 && progress.seconds > 0.5) {
      line += ", " + clock(progress.seconds * (1 / share - 1)) + " left";
    }
    if (!progress.step.empty()) line += "  " + progress.step;
    if (!terminal) {
      std::fprintf(stderr, "%s\n", line.c_str());
      return;
    }
    constexpr int kWidth = 24;
    std::string bar(size_t(std::lround(share * kWidth)), '#');
    bar.resize(kWidth, '.');
    std::fprintf(stderr, "\r\x1b[K[%s] %.100s", bar.c_str(), line.c_str());
  }

  const JobControl& control;
  std::string title;
  bool terminal;
  bool stop = false;
  bool painted = false;
  std::mutex mutex;
  std::condition_variable wake;
  std::thread thread;
};

Console::Progress::Progress(Console& owner, const std::string& name)
    : control(std::make_unique<JobControl>()) {
  if (g_interrupted) control->cancel();
  g_running = control.get();
  if (!owner.quiet) painter = std::make_unique<Painter>(*control, name);
}

Console::Progress::~Progress() {
  painter.reset();
  g_running = nullptr;
}

Console::Console() {
  std::signal(SIGINT, onInterrupt);
  std::signal(SIGTERM, onInterrupt);
}

Console::~Console() = default;

void Console::addOptions(CLI::App& verb) {
  verb.add_flag("--json", json, "Print one JSON object on standard output");
  verb.add_option("--threads", threads, "Worker threads (0: one for each core)")
      ->check(CLI::Range(0, 1024));
  verb.add_option("--backend", backend, "Where inference runs")
      ->check(CLI::IsMember({"cpu", "vulkan"}))
      ->capture_default_str();
  verb.add_option("--device", device,
                  "Vulkan device: its place in `doctor`, UUID or part of its name (default: the "
                  "most promising)");
  verb.add_flag("--exact", exact,
                "All arithmetic in f32: weights decoded, no 8-bit activations, no bfloat16");
  verb.add_option("--store", storePath, "Experiment store (SQLite file)");
  verb.add_flag("--quiet", quiet, "No progress and no notes on standard error");
}

Result<void> Console::openBackend() {
  if (backend != "vulkan") return {};
  TRY(m_backend, Backend::open(device));
  note(strCat("On ", m_backend->device().name, "."));
  return {};
}

void Console::tellNotes() const {
  if (!m_backend) return;
  for (const std::string& line : m_backend->notes()) note(line);
}

Result<ExperimentStore> Console::openStore() const {
  return ExperimentStore::open(storePath.empty() ? ExperimentStore::defaultPath()
                                                 : std::filesystem::path(storePath));
}

Workers& Console::workers() {
  if (!m_workers) m_workers = std::make_unique<Workers>(threads);
  return *m_workers;
}

void Console::note(const std::string& line) const {
  if (!quiet) std::fprintf(stderr, "%s\n", line.c_str());
}

void Console::print(const Json& object, const std::string& text) const {
  if (json) {
    std::cout << object.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    std::cout << text;
    if (!text.empty() && text.back() != '\n') std::cout << "\n";
  }
  std::cout.flush();
}

int report(const Error& error) {
  if (error.code == ErrorCode::Cancelled) {
    std::fprintf(stderr, "Cancelled.\n");
    return kCancelled;
  }
  std::fprintf(stderr, "bitloom-cli: %s\n", validUtf8(error.message).c_str());
  return kFailed;
}

}  // namespace bitloom::cli

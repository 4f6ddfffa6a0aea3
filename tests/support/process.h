// SPDX-License-Identifier: GPL-3.0-or-later
// Runs bitloom-cli as a user would and collects what it printed.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/paths.h"

namespace bitloom::test {

struct Finished {
  int exit = -1;  // −1 when a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
  double seconds = 0;
  nlohmann::json json() const { return nlohmann::json::parse(out); }
};

// A running child; killed when destroyed.
class Process {
 public:
  Process(const std::string& program, const std::vector<std::string>& arguments, const TempDir& dir)
      : m_out(dir / ("out-" + std::to_string(counter()))), m_err(m_out.string() + ".err") {
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    m_pid = ::fork();
    if (m_pid == 0) {
      redirect(m_out, STDOUT_FILENO);
      redirect(m_err, STDERR_FILENO);
      ::execv(program.c_str(), argv.data());
      ::_exit(127);
    }
  }
  ~Process() {
    if (m_pid > 0 && !m_done) {
      ::kill(m_pid, SIGKILL);
      ::waitpid(m_pid, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void kill(int signal) const { ::kill(m_pid, signal); }
  bool running() {
    if (!m_done && ::waitpid(m_pid, &m_status, WNOHANG) == m_pid) m_done = true;
    return !m_done;
  }
  Finished wait() {
    if (!m_done) ::waitpid(m_pid, &m_status, 0);
    m_done = true;
    Finished result;
    if (WIFEXITED(m_status)) result.exit = WEXITSTATUS(m_status);
    if (WIFSIGNALED(m_status)) result.signal = WTERMSIG(m_status);
    result.out = readFile(m_out);
    result.err = readFile(m_err);
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - m_begin).count();
    return result;
  }

 private:
  static int counter() {
    static int next = 0;
    return next++;
  }
  static void redirect(const std::filesystem::path& path, int target) {
    const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    ::dup2(file, target);
    ::close(file);
  }
  std::filesystem::path m_out, m_err;
  pid_t m_pid = -1;
  int m_status = 0;
  bool m_done = false;
  std::chrono::steady_clock::time_point m_begin = std::chrono::steady_clock::now();
};

// A folder with a store of its own, and the program that uses it.
class Cli {
 public:
  explicit Cli(std::string program = BITLOOM_CLI) : m_program(std::move(program)) {}
  const TempDir& dir() const { return m_dir; }
  std::string path(const std::string& name) const { return (m_dir / name).string(); }
  std::vector<std::string> full(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--store", path("store.sqlite"), "--quiet"});
    return arguments;
  }
  std::unique_ptr<Process> start(const std::vector<std::string>& arguments) const {
    return std::make_unique<Process>(m_program, full(arguments), m_dir);
  }
  Finished run(const std::vector<std::string>& arguments) const { return start(arguments)->wait(); }
  // No store, no --quiet.
  Finished bare(const std::vector<std::string>& arguments) const {
    return Process(m_program, arguments, m_dir).wait();
  }

 private:
  std::string m_program;
  TempDir m_dir;
};

inline std::string storyModel() {
  return sourcePath("resources/models/bitloom-story-11m-f16.gguf").string();
}

// One sentence: a single line that ends with a full stop.
inline bool isOneSentence(const std::string& text) {
  const size_t end = text.find('\n');
  return end != std::string::npos && end + 1 == text.size() && end > 0 && text[end - 1] == '.';
}

}  // namespace bitloom::test

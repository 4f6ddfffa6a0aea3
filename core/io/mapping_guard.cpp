// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/mapping_guard.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

namespace bitloom {
namespace {

// The handler may run at any moment in any thread: it reads fixed memory and takes no lock. A slot
// is filled before its address is published.
struct Mapping {
  std::atomic<const std::byte*> begin = nullptr;
  size_t size = 0;
  size_t pathSize = 0;
  std::array<char, 511> path;
};

std::array<Mapping, 64> mappings;
std::mutex writing;

void say(std::string_view text) {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

void onBusError(int signal, siginfo_t* facts, void*) {
  const auto* address = static_cast<const std::byte*>(facts->si_addr);
  for (const Mapping& mapping : mappings) {
    const std::byte* begin = mapping.begin.load(std::memory_order_acquire);
    if (begin == nullptr || address < begin || address >= begin + mapping.size) continue;
    say({mapping.path.data(), mapping.pathSize});
    say(" was cut short by another program while it was read.\n");
    ::_exit(1);
  }
  ::signal(signal, SIG_DFL);  // the read is tried again and ends the process
}

}  // namespace

void guardMappings() {
  struct sigaction action {};
  action.sa_sigaction = onBusError;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

void rememberMapping(std::span<const std::byte> bytes, std::string_view path) {
  const std::scoped_lock lock(writing);
  for (Mapping& mapping : mappings) {
    if (mapping.begin.load(std::memory_order_relaxed) != nullptr) continue;
    mapping.size = bytes.size();
    mapping.pathSize = std::min(path.size(), mapping.path.size());
    std::copy_n(path.data(), mapping.pathSize, mapping.path.data());
    mapping.begin.store(bytes.data(), std::memory_order_release);
    return;
  }
}

void forgetMapping(std::span<const std::byte> bytes) {
  const std::scoped_lock lock(writing);
  for (Mapping& mapping : mappings) {
    if (mapping.begin.load(std::memory_order_relaxed) == bytes.data()) mapping.begin = nullptr;
  }
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/machine.h"

#include <sys/resource.h>

#include <fstream>
#include <thread>

#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

// The text after "key ... :" in a file of such lines, or "".
std::string valueOf(const char* file, const std::string& key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

uint64_t kibibytes(const std::string& key) {
  return std::strtoull(valueOf("/proc/meminfo", key).c_str(), nullptr, 10) * 1024;
}

}  // namespace

Machine inspectMachine() {
  return {.cpu = valueOf("/proc/cpuinfo", "model name"),
          .target = cpuKernels().name,
          .cores = int(std::thread::hardware_concurrency()),
          .memoryBytes = kibibytes("MemTotal"),
          .availableBytes = kibibytes("MemAvailable")};
}

uint64_t peakMemoryBytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return uint64_t(usage.ru_maxrss) * 1024;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/experiments/owner.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "core/base/strings.h"

namespace bitloom {
namespace {

std::string contents(const std::string& path) {
  std::ifstream in(path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string bootId() {
  std::string id = contents("/proc/sys/kernel/random/boot_id");
  std::erase(id, '\n');
  return id;
}

// Field 22 of proc(5)'s stat, in clock ticks since boot; empty when there is no such process or
// only its remains. The name in field 2 may hold blanks and brackets, so fields count from its end.
std::string startTime(const std::string& pid) {
  const std::string stat = contents("/proc/" + pid + "/stat");
  const size_t nameEnd = stat.rfind(") ");
  if (nameEnd == std::string::npos) return {};
  const std::vector<std::string> fields = split(std::string_view(stat).substr(nameEnd + 2), ' ');
  const bool isGone = fields.size() < 20 || fields[0] == "Z" || fields[0] == "X";
  return isGone ? std::string() : fields[19];
}

}  // namespace

std::string ownProcess() {
  const std::string pid = std::to_string(::getpid());
  return bootId() + " " + pid + " " + startTime(pid);
}

bool isAlive(std::string_view process) {
  const std::vector<std::string> parts = split(process, ' ');
  if (parts.size() != 3 || parts[0] != bootId()) return false;
  const bool isNumber =
      !parts[1].empty() &&
      std::all_of(parts[1].begin(), parts[1].end(), [](char c) { return c >= '0' && c <= '9'; });
  return isNumber && !parts[2].empty() && startTime(parts[1]) == parts[2];
}

}  // namespace bitloom

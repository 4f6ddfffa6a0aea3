// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/user_folder.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace bitloom {
namespace {

std::filesystem::path folder(const char* variable, const char* inHome) {
  std::filesystem::path base;
  // The XDG rule: a path that is not absolute counts as unset.
  if (const char* set = std::getenv(variable); set != nullptr) base = set;
  if (!base.is_absolute()) {
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') {
      const passwd* user = ::getpwuid(::getuid());
      home = user != nullptr ? user->pw_dir : "/";
    }
    base = std::filesystem::path(home) / inHome;
  }
  return base / "bitloom";
}

}  // namespace

std::filesystem::path userDataFolder() { return folder("XDG_DATA_HOME", ".local/share"); }
std::filesystem::path userCacheFolder() { return folder("XDG_CACHE_HOME", ".cache"); }

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/whole_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/strings.h"

namespace bitloom {
namespace {

Error systemError(ErrorCode code, const std::filesystem::path& path, std::string_view what) {
  return makeError(code, path.string(), ": ", what, ": ", std::strerror(errno), ".");
}

struct Descriptor {
  explicit Descriptor(int opened) : number(opened) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number;
};

bool writeAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) bytes.remove_prefix(size_t(written));
  }
  return true;
}

}  // namespace

Result<std::string> readWholeFile(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number < 0) {
    return systemError(errno == ENOENT ? ErrorCode::NotFound : ErrorCode::Io, path,
                       "cannot be opened");
  }
  std::string bytes;
  char part[1 << 16];
  for (;;) {
    const ssize_t count = ::read(file.number, part, sizeof part);
    if (count == 0) return bytes;
    if (count > 0) {
      bytes.append(part, size_t(count));
    } else if (errno != EINTR) {
      return systemError(ErrorCode::Io, path, "cannot be read");
    }
  }
}

Result<void> writeWholeFile(const std::filesystem::path& path, std::string_view bytes) {
  std::string part = path.string() + ".XXXXXX";
  const Descriptor file(::mkostemp(part.data(), O_CLOEXEC));
  if (file.number < 0) return systemError(ErrorCode::Io, path, "cannot be created");
  // mkostemp gives the file to its owner alone; what is saved on purpose is like any other file.
  const bool done = writeAll(file.number, bytes) && ::fchmod(file.number, 0644) == 0 &&
                    ::fsync(file.number) == 0 && ::rename(part.c_str(), path.c_str()) == 0;
  if (done) return {};
  const Error error = systemError(ErrorCode::Io, path, "cannot be written");
  ::unlink(part.c_str());
  return error;
}

}  // namespace bitloom

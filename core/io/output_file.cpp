// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr size_t kMaxWrite = 1u << 30;  // one write(2) takes less than 2 GiB on Linux

Error failed(const std::filesystem::path& path, std::string_view what) {
  return makeError(errno == ENOENT ? ErrorCode::NotFound : ErrorCode::Io, path.string(), " cannot ",
                   what, ": ", std::strerror(errno), ".");
}

std::filesystem::path folderOf(const std::filesystem::path& target) {
  return target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
}

}  // namespace

std::filesystem::path OutputFile::partPath(const std::filesystem::path& target) {
  return target.string() + ".part";
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& target) {
  return open(target, 0);
}

Result<OutputFile> OutputFile::resume(const std::filesystem::path& target, uint64_t bytes) {
  return open(target, bytes);
}

Result<OutputFile> OutputFile::open(const std::filesystem::path& target, uint64_t keptBytes) {
  std::error_code ignored;
  if (target.filename().empty() || std::filesystem::is_directory(target, ignored)) {
    return makeError(ErrorCode::InvalidArgument, target.string(), " is a folder, not a file.");
  }
  const std::filesystem::path part = partPath(target);
  // The lock comes before anything is cut off: the part may be another writer's work.
  const int create = keptBytes > 0 ? 0 : O_CREAT;
  const int file = ::open(part.c_str(), O_RDWR | create | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (file < 0) return failed(part, "be written");
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    const Error error = errno == EWOULDBLOCK
                            ? makeError(ErrorCode::Io, part.string(),
                                        " is being written by another process or job.")
                            : failed(part, "be locked");
    ::close(file);
    return error;
  }
  OutputFile output(target, file, keptBytes);
  output.m_keep = keptBytes > 0;  // a part that is not what the caller thinks stays untouched
  struct stat facts {};
  if (::fstat(file, &facts) != 0) return failed(part, "be read");
  if (uint64_t(facts.st_size) < keptBytes) {
    return makeError(ErrorCode::Corrupt, part.string(), " has ", grouped(uint64_t(facts.st_size)),
                     " bytes; ", grouped(keptBytes), " are needed to continue it.");
  }
  if (::ftruncate(file, off_t(keptBytes)) != 0 || ::lseek(file, off_t(keptBytes), SEEK_SET) < 0) {
    return failed(part, "be cut to its valid length");
  }
  output.m_keep = false;
  return output;
}

OutputFile::OutputFile(std::filesystem::path target, int file, uint64_t position)
    : m_target(std::move(target)), m_file(file), m_position(position) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : m_target(std::move(other.m_target)),
      m_file(std::exchange(other.m_file, -1)),
      m_position(other.m_position),
      m_keep(other.m_keep) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(m_target, other.m_target);
  std::swap(m_file, other.m_file);
  std::swap(m_position, other.m_position);
  std::swap(m_keep, other.m_keep);
  return *this;
}

OutputFile::~OutputFile() {
  if (m_file < 0) return;
  // Removed before the lock falls, so that it cannot be another writer's part.
  if (!m_keep) ::unlink(partPath().c_str());
  ::close(m_file);
}

Result<void> OutputFile::require(uint64_t totalBytes) const {
  struct statvfs disk {};
  if (::fstatvfs(m_file, &disk) != 0) return failed(partPath(), "be asked for free space");
  const uint64_t available = uint64_t(disk.f_bavail) * disk.f_frsize;
  const uint64_t needed = totalBytes - std::min(totalBytes, m_position);
  if (needed <= available) return {};
  return makeError(ErrorCode::Io, m_target.string(), " needs ", decimalSize(needed),
                   " more on its disk, which has ", decimalSize(available), " free.");
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  CHECK(m_file >= 0);
  while (!bytes.empty()) {
    const ssize_t written = ::write(m_file, bytes.data(), std::min(bytes.size(), kMaxWrite));
    if (written < 0) {
      if (errno == EINTR) continue;
      return failed(partPath(), "be written");
    }
    m_position += uint64_t(written);
    bytes = bytes.subspan(size_t(written));
  }
  return {};
}

Result<void> OutputFile::sync() {
  CHECK(m_file >= 0);
  if (::fsync(m_file) != 0) return failed(partPath(), "be made durable");
  return {};
}

Result<void> OutputFile::commit() {
  TRY(sync());
  if (::rename(partPath().c_str(), m_target.c_str()) != 0) {
    return failed(m_target, "take its final name");
  }
  ::close(std::exchange(m_file, -1));
  // The new name itself must survive a crash; some file systems cannot sync a folder.
  const int folder = ::open(folderOf(m_target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return {};
}

}  // namespace bitloom

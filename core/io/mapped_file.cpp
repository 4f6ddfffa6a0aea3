// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/strings.h"
#include "core/io/mapping_guard.h"

namespace bitloom {
namespace {

Error systemError(const std::filesystem::path& path, int number) {
  if (number == ENOENT) {
    return makeError(ErrorCode::NotFound, path.string(), " does not exist.");
  }
  return makeError(ErrorCode::Io, path.string(), " cannot be opened: ", std::strerror(number), ".");
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // Without O_NONBLOCK a FIFO would hold the caller until somebody writes to it.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return systemError(path, errno);
  struct stat facts {};
  if (::fstat(file, &facts) != 0) {
    const int number = errno;
    ::close(file);
    return systemError(path, number);
  }
  if (!S_ISREG(facts.st_mode)) {
    ::close(file);
    return makeError(
        ErrorCode::InvalidArgument, path.string(),
        S_ISDIR(facts.st_mode) ? " is a folder, not a file." : " is not a regular file.");
  }
  const size_t size = size_t(facts.st_size);
  if (size == 0) {
    ::close(file);
    return MappedFile(path, {});
  }
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  const int number = errno;
  ::close(file);
  if (memory == MAP_FAILED) return systemError(path, number);
  const std::span bytes(static_cast<const std::byte*>(memory), size);
  rememberMapping(bytes, path.native());
  return MappedFile(path, bytes);
}

MappedFile::MappedFile(std::filesystem::path path, std::span<const std::byte> bytes)
    : m_path(std::move(path)), m_bytes(bytes) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : m_path(std::move(other.m_path)), m_bytes(std::exchange(other.m_bytes, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(m_path, other.m_path);
  std::swap(m_bytes, other.m_bytes);
  return *this;
}

void MappedFile::release(std::span<const std::byte> part) {
  const size_t page = size_t(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t begin = (first + page - 1) / page * page;
  const uintptr_t end = (first + part.size()) / page * page;
  // Only advice: where it is not taken, memory is all that is lost.
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (m_bytes.empty()) return;
  forgetMapping(m_bytes);
  ::munmap(const_cast<std::byte*>(m_bytes.data()), m_bytes.size());
}

}  // namespace bitloom

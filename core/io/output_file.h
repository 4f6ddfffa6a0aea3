// SPDX-License-Identifier: GPL-3.0-or-later
// A file that appears under its name only when it is complete. Bytes are streamed to
// `<target>.part` in the target's folder; commit() makes them durable and renames. Until then an
// older file of that name stays as it was, and destruction removes the part unless keep() was
// called. While the object lives the part is locked against a second writer. One thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "kernels/base/result.h"

namespace bitloom {

class OutputFile {
 public:
  // Replaces a part that an earlier writer left.
  static Result<OutputFile> create(const std::filesystem::path& target);
  // Continues a part that was kept: its first `bytes` bytes stay, what follows is dropped.
  static Result<OutputFile> resume(const std::filesystem::path& target, uint64_t bytes);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();

  // Io, with the numbers, when the disk has no room for a file of `totalBytes` in all.
  Result<void> require(uint64_t totalBytes) const;
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> sync();    // what was written survives a crash
  Result<void> commit();  // nothing may be written afterwards
  void keep() { m_keep = true; }

  uint64_t position() const { return m_position; }
  const std::filesystem::path& target() const { return m_target; }
  std::filesystem::path partPath() const { return partPath(m_target); }
  static std::filesystem::path partPath(const std::filesystem::path& target);

 private:
  OutputFile(std::filesystem::path target, int file, uint64_t position);
  static Result<OutputFile> open(const std::filesystem::path& target, uint64_t keptBytes);

  std::filesystem::path m_target;
  int m_file = -1;  // −1 once committed
  uint64_t m_position = 0;
  bool m_keep = false;
};

}  // namespace bitloom

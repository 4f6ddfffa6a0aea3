// SPDX-License-Identifier: GPL-3.0-or-later
// A file as read-only memory, mapped for as long as the object lives. Any thread may read.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>

#include "kernels/base/result.h"

namespace bitloom {

class MappedFile {
 public:
  // A regular file. An empty one gives an empty span.
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::filesystem::path& path() const { return m_path; }
  std::span<const std::byte> bytes() const { return m_bytes; }

  // Pages that lie wholly in `part` leave memory; they are read again when they are needed.
  static void release(std::span<const std::byte> part);

 private:
  MappedFile(std::filesystem::path path, std::span<const std::byte> bytes);

  std::filesystem::path m_path;
  std::span<const std::byte> m_bytes;
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Where tests find things, and a temporary folder that cleans up after itself.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace bitloom::test {

inline std::filesystem::path sharedPath(const std::string& relative) {
  return std::filesystem::path(BITLOOM_SHARED) / relative;
}

// First line of a test that needs a file of ../shared.
#define NEEDS_SHARED(relative)                                         \
  if (!std::filesystem::exists(::bitloom::test::sharedPath(relative))) \
  GTEST_SKIP() << "needs ../shared/" << relative << ", which is not here"

inline std::filesystem::path sourcePath(const std::string& relative) {
  return std::filesystem::path(BITLOOM_SOURCE) / relative;
}

inline std::string readFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

inline void writeFile(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

inline std::vector<float> readFloats(const std::filesystem::path& path) {
  const std::string bytes = readFile(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), values.size() * sizeof(float), reinterpret_cast<char*>(values.data()));
  return values;
}

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "bitloom-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ::abort();
    m_path = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(m_path, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return m_path; }
  std::filesystem::path operator/(const std::string& name) const { return m_path / name; }

 private:
  std::filesystem::path m_path;
};

}  // namespace bitloom::test

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/output_file.h"

#include <gtest/gtest.h>

#include "tests/support/paths.h"

namespace bitloom {
namespace {

using test::readFile;
using test::TempDir;
using test::writeFile;

std::span<const std::byte> bytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

size_t entries(const TempDir& folder) {
  return size_t(std::distance(std::filesystem::directory_iterator(folder.path()),
                              std::filesystem::directory_iterator()));
}

TEST(OutputFile, AppearsUnderItsNameOnlyWhenCommitted) {
  const TempDir folder;
  auto file = OutputFile::create(folder / "a.gguf");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->write(bytesOf("hello ")));
  ASSERT_TRUE(file->write(bytesOf("world")));
  EXPECT_EQ(file->position(), 11u);
  EXPECT_EQ(file->partPath(), folder / "a.gguf.part");
  EXPECT_TRUE(std::filesystem::exists(folder / "a.gguf.part"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.gguf"));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(readFile(folder / "a.gguf"), "hello world");
  EXPECT_EQ(entries(folder), 1u);
}

TEST(OutputFile, LeavesNothingWhenDestroyedFirst) {
  const TempDir folder;
  writeFile(folder / "a.gguf", "old");
  {
    auto file = OutputFile::create(folder / "a.gguf");
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(bytesOf("new")));
    OutputFile moved = *std::move(file);
    EXPECT_EQ(readFile(folder / "a.gguf"), "old");
  }
  EXPECT_EQ(readFile(folder / "a.gguf"), "old");
  EXPECT_EQ(entries(folder), 1u);
}

TEST(OutputFile, ReplacesAnOlderFileAndAnOlderPart) {
  const TempDir folder;
  writeFile(folder / "a.gguf", "old and long");
  writeFile(folder / "a.gguf.part", "left by a crash");
  auto file = OutputFile::create(folder / "a.gguf");
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write(bytesOf("new")));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(readFile(folder / "a.gguf"), "new");
  EXPECT_EQ(entries(folder), 1u);
}

TEST(OutputFile, AKeptPartIsContinued) {
  const TempDir folder;
  {
    auto file = OutputFile::create(folder / "a");
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(bytesOf("0123456789")));
    ASSERT_TRUE(file->sync());
    file->keep();
  }
  EXPECT_EQ(readFile(folder / "a.part"), "0123456789");
  auto file = OutputFile::resume(folder / "a", 4);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->position(), 4u);
  ASSERT_TRUE(file->write(bytesOf("xyz")));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(readFile(folder / "a"), "0123xyz");
}

TEST(OutputFile, AShorterPartThanPromisedIsRefusedAndKept) {
  const TempDir folder;
  writeFile(folder / "a.part", "abc");
  const auto file = OutputFile::resume(folder / "a", 4);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message,
            (folder / "a.part").string() + " has 3 bytes; 4 are needed to continue it.");
  EXPECT_EQ(readFile(folder / "a.part"), "abc");
  const auto none = OutputFile::resume(folder / "b", 4);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::NotFound);
  EXPECT_EQ(entries(folder), 1u);
}

TEST(OutputFile, TwoWritersOfOneFileAreKeptApart) {
  const TempDir folder;
  auto first = OutputFile::create(folder / "a");
  ASSERT_TRUE(first);
  ASSERT_TRUE(first->write(bytesOf("mine")));
  const auto second = OutputFile::create(folder / "a");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message,
            (folder / "a.part").string() + " is being written by another process or job.");
  EXPECT_EQ(readFile(folder / "a.part"), "mine");
  ASSERT_TRUE(first->commit());
}

TEST(OutputFile, AsksForRoomBeforeTheWork) {
  const TempDir folder;
  auto file = OutputFile::create(folder / "a");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->require(1000));
  const auto refused = file->require(uint64_t{1} << 62);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Io);
  EXPECT_NE(refused.error().message.find("a needs 4611686 TB more on its disk, which has "),
            std::string::npos)
      << refused.error().message;
}

TEST(OutputFile, SaysWhichFolderIsMissing) {
  const TempDir folder;
  const auto file = OutputFile::create(folder / "none" / "a");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::NotFound);
  EXPECT_NE(file.error().message.find("none/a.part cannot be written: No such file"),
            std::string::npos);
  const auto directory = OutputFile::create(folder.path());
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("is a folder, not a file"), std::string::npos);
}

}  // namespace
}  // namespace bitloom

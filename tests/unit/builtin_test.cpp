// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/builtin.h"

#include <gtest/gtest.h>

#include "core/base/strings.h"
#include "tests/support/paths.h"

namespace bitloom {
namespace {

TEST(Builtin, ModelAndTextsAreFound) {
  const auto model = builtinModelPath();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(test::readFile(*model).substr(0, 4), "GGUF");
  EXPECT_EQ(*resolveModelArgument("builtin"), *model);
  EXPECT_EQ(*resolveModelArgument("some/file.gguf"), "some/file.gguf");
}

TEST(Builtin, TextsAreLongValidAndShareNoParagraph) {
  std::vector<std::string> texts;
  for (const auto& path : {builtinCalibrationText(), builtinEvaluationText()}) {
    ASSERT_TRUE(path) << path.error().message;
    const auto text = readText(*path);
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_GT(text->size(), 190000u);
    EXPECT_LT(text->size(), 220000u);
    EXPECT_EQ(validUtf8(*text), *text);
    texts.push_back(*text);
  }
  EXPECT_NE(texts[1].find("Sherlock Holmes"), std::string::npos);
  for (size_t at = 0; at + 200 < texts[1].size(); at += 1000) {
    EXPECT_EQ(texts[0].find(texts[1].substr(at, 200)), std::string::npos);
  }
}

TEST(Builtin, ReadTextKeepsLineEndsAndNamesWhatItCannotRead) {
  const test::TempDir folder;
  test::writeFile(folder / "a.txt", "one\r\ntwo\n");
  EXPECT_EQ(*readText(folder / "a.txt"), "one\r\ntwo\n");
  test::writeFile(folder / "empty.txt", "");
  EXPECT_EQ(*readText(folder / "empty.txt"), "");
  const auto missing = readText(folder / "b.txt");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  EXPECT_NE(missing.error().message.find("b.txt cannot be read: No such file"), std::string::npos);
  const auto directory = readText(folder.path());
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("is a folder"), std::string::npos);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/corpus.h"

#include <gtest/gtest.h>

#include "tests/support/paths.h"

namespace bitloom {
namespace {

using test::TempDir;
using test::writeFile;

const std::string kTurns =
    R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]})";

TEST(Corpus, ATextIsOneDocumentAsItStands) {
  const TempDir folder;
  writeFile(folder / "a.txt", "{\"text\": 1}\r\n");
  const auto part = readCorpusPart(folder / "a.txt", "prose", nullptr);
  ASSERT_TRUE(part) << part.error().message;
  EXPECT_EQ(part->stratum, "prose");
  EXPECT_EQ(part->file, "a.txt");
  ASSERT_EQ(part->documents.size(), 1U);
  EXPECT_EQ(part->documents[0].text, "{\"text\": 1}\r\n");
  EXPECT_FALSE(part->documents[0].special);
}

TEST(Corpus, LinesAreDocuments) {
  const TempDir folder;
  writeFile(folder / "a.jsonl", "{\"text\": \"one\\ntwo\"}\n\n" + kTurns + "\r\n");
  const auto plain = readCorpusPart(folder / "a.jsonl", "text", nullptr);
  ASSERT_TRUE(plain) << plain.error().message;
  ASSERT_EQ(plain->documents.size(), 2U);
  EXPECT_EQ(plain->documents[0].text, "one\ntwo");
  EXPECT_EQ(plain->documents[1].text, "Hi\nYes?\n");
  EXPECT_FALSE(plain->documents[1].special);

  const ChatTemplate chat = ChatTemplate::detect(Metadata());  // ChatML
  const auto rendered = readCorpusPart(folder / "a.jsonl", "chat", &chat);
  ASSERT_TRUE(rendered);
  EXPECT_EQ(rendered->documents[0].text, "one\ntwo");
  EXPECT_FALSE(rendered->documents[0].special);
  EXPECT_NE(rendered->documents[1].text.find("<|im_start|>user\nHi<|im_end|>"), std::string::npos);
  EXPECT_NE(rendered->documents[1].text.find("<|im_start|>assistant\nYes?<|im_end|>"),
            std::string::npos);
  EXPECT_EQ(rendered->documents[1].text.find("<|im_start|>assistant\n<"), std::string::npos);
  EXPECT_TRUE(rendered->documents[1].special);
  EXPECT_NE(hashOf(*plain), hashOf(*rendered));
}

TEST(Corpus, ErrorsNameFileAndLine) {
  const TempDir folder;
  const std::string file = (folder / "a.jsonl").string();
  const auto refused = [&](const std::string& bytes) {
    writeFile(file, bytes);
    const auto part = readCorpusPart(file, "text", nullptr);
    return part ? std::string() : part.error().message;
  };
  EXPECT_EQ(refused("{\"text\": \"a\"}\n{\"text\""), file + ": line 2: is no JSON.");
  const std::string keys =
      ": line 1: has neither a \"text\" nor \"messages\" of {\"role\", \"content\"}, as strings.";
  EXPECT_EQ(refused("{\"txt\": \"a\"}"), file + keys);
  EXPECT_EQ(refused("{\"text\": 7}"), file + keys);
  EXPECT_EQ(refused("[1]"), file + keys);
  EXPECT_EQ(refused("{\"messages\": [{\"role\": \"user\"}]}"), file + keys);
  EXPECT_EQ(refused("\n\n"), file + ": holds no document.");
  EXPECT_FALSE(readCorpusPart(folder / "absent.txt", "text", nullptr));
}

std::string words(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i) text += "w" + std::to_string(i * i) + " ";
  return text;
}

TEST(Corpus, OverlapIsTheShareOfRunsOfThirteenWords) {
  const auto known = shinglesOf(words(0, 2000));
  EXPECT_TRUE(std::is_sorted(known.begin(), known.end()));
  EXPECT_GT(known.size(), 150U);  // one of eight
  EXPECT_LT(known.size(), 350U);
  EXPECT_EQ(overlapOf(shinglesOf(words(500, 800)), known), 1);
  EXPECT_EQ(overlapOf(shinglesOf(words(5000, 800)), known), 0);
  EXPECT_NEAR(overlapOf(shinglesOf(words(1000, 2000)), known), 0.5, 0.1);
  EXPECT_EQ(overlapOf(shinglesOf("too short"), known), 0);
  // Case, stops and line ends are no difference; one word of each thirteen is.
  std::string shouted = words(500, 800);
  for (char& c : shouted) c = c == ' ' ? '\n' : c == 'w' ? 'W' : c;
  EXPECT_EQ(overlapOf(shinglesOf("\"" + shouted + "\"!"), known), 1);
  std::string changed;
  for (int i = 500; i < 1300; i += 12) changed += words(i, 12) + "other ";
  EXPECT_EQ(overlapOf(shinglesOf(changed), known), 0);
}

}  // namespace
}  // namespace bitloom

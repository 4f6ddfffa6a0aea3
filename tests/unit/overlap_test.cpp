// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/overlap.h"

#include <gtest/gtest.h>

#include "tests/support/paths.h"

namespace bitloom {
namespace {

std::string numbered(int first, int count, const std::string& separator) {
  std::string text;
  for (int i = first; i < first + count; ++i) text += "w" + std::to_string(i) + separator;
  return text;
}

TEST(Overlap, CountsTheRunsOfThirteenWordsThatBothHold) {
  // Words 20 … 39 are in both: 20 − 12 shared runs of 40 − 12.
  const TextOverlap overlap = findOverlap(numbered(0, 40, " "), numbered(20, 40, " "));
  EXPECT_EQ(overlap.shingles, 28U);
  EXPECT_EQ(overlap.shared, 8U);
  EXPECT_EQ(overlap.example, numbered(20, 12, " ") + "w32");
}

TEST(Overlap, TwelveSharedWordsAreNone) {
  EXPECT_EQ(findOverlap(numbered(0, 12, " "), numbered(0, 40, " ")).shared, 0U);
  EXPECT_EQ(findOverlap(numbered(0, 13, " "), numbered(0, 40, " ")).shared, 1U);
}

TEST(Overlap, CasePunctuationAndSpacingDoNotHideIt) {
  std::string loud = numbered(0, 20, ",\n“");
  for (char& c : loud) c = c == 'w' ? 'W' : c;
  EXPECT_EQ(findOverlap(numbered(0, 20, " "), loud).shared, 8U);
}

TEST(Overlap, ScriptsWithoutSpacesAreComparedByCharacter) {
  const std::string known = "春眠不覚暁処処聞啼鳥夜来風雨声花落知多少";
  const TextOverlap overlap = findOverlap(known, "はじめに春眠不覚暁処処聞啼鳥夜来風雨");
  EXPECT_EQ(overlap.shared, 2U);
  EXPECT_EQ(findOverlap(known, "国破山河在城春草木深感時花濺涙恨別鳥驚心").shared, 0U);
}

TEST(Overlap, OrderMatters) {
  const std::string text = "a b c d e f g h i j k l m";
  const std::string turned = "m l k j i h g f e d c b a";
  EXPECT_EQ(findOverlap(text, turned).shared, 0U);
}

TEST(Overlap, SentencesNameBothTexts) {
  EXPECT_EQ(overlapSentence(findOverlap(numbered(0, 40, " "), numbered(20, 40, " ")), "c.txt", "e"),
            "28.6 % of the runs of 13 words of e occur in c.txt: figures on it flatter what was "
            "fitted to that text.");
  EXPECT_EQ(overlapSentence(findOverlap("a", numbered(0, 20, " ")), "c.txt", "e"),
            "No run of 13 words of e occurs in c.txt.");
  EXPECT_EQ(overlapSentence(findOverlap("a", "b"), "c.txt", "e"),
            "e has fewer than 13 words: whether it overlaps c.txt cannot be told.");
}

TEST(Overlap, TheBuiltInTextsAreHeldApart) {
  const std::string calibration =
      test::readFile(test::sourcePath("resources/texts/calibration.txt"));
  const std::string evaluation = test::readFile(test::sourcePath("resources/texts/evaluation.txt"));
  EXPECT_EQ(findOverlap(calibration, evaluation).shared, 0U);
  EXPECT_EQ(findOverlap(evaluation, evaluation).share(), 1);
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/overlap.h"

#include <cstdio>
#include <unordered_set>
#include <vector>

#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr size_t kShingleWords = 13;
constexpr uint64_t kOffset = 14695981039346656037U;  // FNV-1a
constexpr uint64_t kPrime = 1099511628211U;

struct Word {
  uint64_t hash;
  size_t begin, end;  // bytes of the text
};

size_t sequenceLength(unsigned char first) {
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

// Scripts that are written without spaces begin at U+2E80, three bytes with a first of 0xE2 or
// more; U+2000 … U+206F (dashes, quotes) separate words.
bool isIdeograph(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  const auto second = character.size() > 1 ? static_cast<unsigned char>(character[1]) : 0;
  return character.size() >= 3 && (first > 0xE2 || (first == 0xE2 && second >= 0xBA));
}

bool isPunctuation(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) {
    const bool digit = first >= '0' && first <= '9';
    const auto lower = static_cast<unsigned char>(first | 0x20U);
    return !digit && !(lower >= 'a' && lower <= 'z');
  }
  const auto second = static_cast<unsigned char>(character[1]);
  return (first == 0xE2 && second < 0xBA) || (first == 0xC2);  // U+2000 … U+2E7F, U+0080 … U+00BF
}

std::vector<Word> wordsOf(std::string_view text) {
  std::vector<Word> words;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t length =
        std::min(sequenceLength(static_cast<unsigned char>(text[at])), text.size() - at);
    const std::string_view character = text.substr(at, length);
    const bool alone = isIdeograph(character);
    if (!alone && isPunctuation(character)) {
      inside = false;
      at += length;
      continue;
    }
    if (!inside || alone) words.push_back({kOffset, at, at});
    for (char c : character) {
      const char lower = c >= 'A' && c <= 'Z' ? char(c | 0x20) : c;
      words.back().hash = (words.back().hash ^ static_cast<unsigned char>(lower)) * kPrime;
    }
    words.back().end = at + length;
    inside = !alone;
    at += length;
  }
  return words;
}

uint64_t shingle(const Word* words) {
  uint64_t hash = kOffset;
  for (size_t i = 0; i < kShingleWords; ++i) hash = (hash ^ words[i].hash) * kPrime;
  return hash ^ (hash >> 29);
}

}  // namespace

TextOverlap findOverlap(std::string_view calibration, std::string_view evaluation) {
  const std::vector<Word> known = wordsOf(calibration);
  std::unordered_set<uint64_t> seen;
  seen.reserve(known.size());
  for (size_t i = 0; i + kShingleWords <= known.size(); ++i) seen.insert(shingle(&known[i]));

  const std::vector<Word> words = wordsOf(evaluation);
  TextOverlap result;
  for (size_t i = 0; i + kShingleWords <= words.size(); ++i) {
    ++result.shingles;
    if (!seen.contains(shingle(&words[i]))) continue;
    if (++result.shared == 1) {
      const size_t begin = words[i].begin;
      result.example = evaluation.substr(begin, words[i + kShingleWords - 1].end - begin);
    }
  }
  return result;
}

std::string overlapSentence(const TextOverlap& overlap, const std::string& calibrationName,
                            const std::string& evaluationName) {
  if (overlap.shingles == 0) {
    return strCat(evaluationName, " has fewer than ", kShingleWords, " words: whether it overlaps ",
                  calibrationName, " cannot be told.");
  }
  if (overlap.shared == 0) {
    return strCat("No run of ", kShingleWords, " words of ", evaluationName, " occurs in ",
                  calibrationName, ".");
  }
  char percent[16];
  std::snprintf(percent, sizeof percent, overlap.share() < 0.001 ? "%.2g" : "%.1f",
                100 * overlap.share());
  return strCat(percent, " % of the runs of ", kShingleWords, " words of ", evaluationName,
                " occur in ", calibrationName,
                ": figures on it flatter what was fitted to that text.");
}

}  // namespace bitloom

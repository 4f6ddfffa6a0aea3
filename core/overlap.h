// SPDX-License-Identifier: GPL-3.0-or-later
// Does a text that proves something hold passages of the text that the choice was fitted to?
// Figures on such passages flatter. Found by shingles: runs of 13 words, compared by hash.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace bitloom {

struct TextOverlap {
  uint64_t shingles = 0;  // of the evaluation text; 0: it has fewer words than one shingle
  uint64_t shared = 0;    // of these, those that the calibration text holds too
  std::string example;    // words of the first shared one; empty when there is none
  double share() const { return shingles == 0 ? 0 : double(shared) / double(shingles); }
};

// Words are runs of letters and digits in any script, compared without regard to ASCII case,
// punctuation and spacing; each character of a script without spaces (CJK, kana) is a word. Both
// texts are UTF-8. Time and memory are linear; 13 words is the n-gram length of the contamination
// checks of GPT-3 (arXiv 2005.14165, appendix C).
TextOverlap findOverlap(std::string_view calibration, std::string_view evaluation);

// One sentence that names both texts, for people.
std::string overlapSentence(const TextOverlap& overlap, const std::string& calibrationName,
                            const std::string& evaluationName);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Splits text into the words within which byte-level BPE merges, by the regular expressions that
// `tokenizer.ggml.pre` names. Immutable after creation; any thread. Private to the tokenizer.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "kernels/base/result.h"

namespace bitloom {

class PreTokenizer {
 public:
  // An unknown name is taken as `default`; `known` tells.
  static Result<PreTokenizer> create(std::string_view name);
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // Every byte of `text` is in exactly one word. A byte that is not UTF-8 is a word of its own.
  std::vector<std::string_view> split(std::string_view text) const;

  bool known() const { return m_known; }
  // A word that is a token is taken whole, whatever its merges say.
  bool takesWholeWords() const { return m_takesWholeWords; }
  bool addsBos() const { return m_addsBos; }  // when the file does not say

 private:
  struct Pattern;
  PreTokenizer();
  std::vector<std::unique_ptr<Pattern>> m_patterns;
  bool m_known = true;
  bool m_takesWholeWords = false;
  bool m_addsBos = false;
};

}  // namespace bitloom

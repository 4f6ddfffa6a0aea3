// SPDX-License-Identifier: GPL-3.0-or-later
// SentencePiece's bigram merging (Kudo and Richardson 2018) as llama.cpp performs it: spaces become
// U+2581, the pair of neighbours that makes the best-scored token is joined first (ties: leftmost),
// characters without a token become byte tokens. Immutable; any thread. Private to the tokenizer.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/inference/vocabulary.h"

namespace bitloom {

class SentencePieceEncoder {
 public:
  static Result<SentencePieceEncoder> create(const Metadata& metadata, const Vocabulary& vocabulary,
                                             std::optional<TokenId> unknown);

  // `atStart`: the text begins the input or follows a control token, so a space is put in front
  // where the vocabulary asks for it.
  void encode(const Vocabulary& vocabulary, std::string_view text, bool atStart,
              std::vector<TokenId>& out) const;

  bool addsSpacePrefix() const { return m_addsSpacePrefix; }
  // The bytes of an ordinary or byte token as they appear in the text.
  std::string bytesOf(const Vocabulary& vocabulary, TokenId id) const;

 private:
  SentencePieceEncoder() = default;
  void encodeWord(const Vocabulary& vocabulary, std::string_view word,
                  std::vector<TokenId>& out) const;
  std::optional<TokenId> mergeable(const Vocabulary& vocabulary, std::string_view text) const;

  std::vector<float> m_scores;
  std::array<TokenId, 256> m_byteTokens{};
  TokenId m_unknown = -1;
  bool m_addsSpacePrefix = true;
  // No token has a space after another character: words can be merged one by one.
  bool m_spacesLead = true;
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Byte-level byte-pair encoding (Radford et al. 2019, "Language Models are Unsupervised Multitask
// Learners"): each byte is a printable character, ranked merges join neighbours within a word.
// Immutable after creation; any thread. Private to the tokenizer.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/inference/pre_tokenizer.h"
#include "core/inference/vocabulary.h"

namespace bitloom {

class BytePairEncoder {
 public:
  // `tokenizer.ggml.merges` of the metadata must name tokens of `vocabulary` only.
  static Result<BytePairEncoder> create(const Metadata& metadata, const Vocabulary& vocabulary,
                                        PreTokenizer preTokenizer);

  // Bytes without a token are dropped.
  void encode(const Vocabulary& vocabulary, std::string_view text, std::vector<TokenId>& out) const;

 private:
  struct Merge {
    uint32_t rank;
    TokenId result;
  };
  struct PairHash {
    size_t operator()(uint64_t key) const { return size_t((key * 0x9e3779b97f4a7c15u) >> 20); }
  };

  explicit BytePairEncoder(PreTokenizer preTokenizer);
  void encodeWord(const Vocabulary& vocabulary, std::string_view word,
                  std::vector<TokenId>& out) const;

  PreTokenizer m_preTokenizer;
  std::array<TokenId, 256> m_byteTokens{};  // kNoToken for some vocabularies' rare bytes
  std::unordered_map<uint64_t, Merge, PairHash> m_merges;  // key: left id, right id
};

// The bytes for which a token's printable text stands; other characters stand for themselves.
std::string bytesOfPrintable(std::string_view text);
std::string printableOfBytes(std::string_view bytes);

}  // namespace bitloom

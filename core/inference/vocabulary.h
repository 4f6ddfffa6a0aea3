// SPDX-License-Identifier: GPL-3.0-or-later
// The token list of a GGUF file (keys `tokenizer.ggml.tokens` and `.token_type`) and the search for
// tokens that are taken out of a text before it is split into words. Immutable after creation; any
// thread. Private to the tokenizer.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/inference/tokenizer.h"
#include "core/metadata.h"
#include "kernels/base/result.h"

namespace bitloom {

// Numbers of the GGUF specification.
enum class TokenType : uint8_t {
  Normal = 1,
  Unknown = 2,
  Control = 3,
  UserDefined = 4,
  Unused = 5,
  Byte = 6,
};

struct Vocabulary {
  std::vector<std::string> texts;
  std::vector<TokenType> types;
  std::unordered_map<std::string_view, TokenId> ids;  // views into `texts`

  static Result<Vocabulary> read(const Metadata& metadata);

  std::optional<TokenId> find(std::string_view text) const;
  // Control and unknown tokens: shown to nobody, typed by nobody, unless asked for.
  bool isHidden(TokenId id) const;
  // The id under `key`; empty when the key is absent, an error when it is no token's id.
  Result<std::optional<TokenId>> idOf(const Metadata& metadata, std::string_view key) const;
};

// Finds, leftmost and then longest first, the tokens that stand for themselves: user-defined ones
// always, control and unknown ones when `hidden` is set.
class SpecialTokens {
 public:
  struct Match {
    size_t begin = 0;
    TokenId id = 0;
  };

  explicit SpecialTokens(const Vocabulary& vocabulary);
  std::optional<Match> next(const Vocabulary& vocabulary, std::string_view text, size_t from,
                            bool hidden) const;

 private:
  std::array<std::vector<TokenId>, 256> m_byFirstByte;  // longest first
};

}  // namespace bitloom

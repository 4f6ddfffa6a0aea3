// SPDX-License-Identifier: GPL-3.0-or-later
// Text ↔ token ids, from GGUF metadata: byte-level BPE (`gpt2`) and SPM (`llama`). Immutable after
// creation; any thread. Works without weights.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/metadata.h"
#include "kernels/base/result.h"

namespace bitloom {

using TokenId = int32_t;

class Tokenizer {
 public:
  // NotFound when the metadata holds no tokenizer. An unknown pre-tokenizer is used as `default`
  // with a warning that names it.
  static Result<Tokenizer> create(const Metadata& metadata);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // `special`: the text of control tokens is parsed as such. No BOS or EOS is added.
  std::vector<TokenId> encode(std::string_view text, bool special = false) const;
  // With BOS in front when the vocabulary asks for it and the text does not begin with it already.
  std::vector<TokenId> encodeWithBos(std::string_view text, bool special = true) const;
  std::string decode(std::span<const TokenId> ids, bool showSpecial = false) const;
  // Bytes of one token as they are appended to the text; control tokens give "" unless shown.
  std::string piece(TokenId id, bool showSpecial = false) const;

  size_t size() const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool addsBos() const;
  bool endsTurn(TokenId id) const;  // EOS, EOT and their kin
  std::optional<TokenId> find(std::string_view text) const;
  std::string_view model() const;         // "gpt2", "llama"
  std::string_view preTokenizer() const;  // as the file names it
  std::span<const std::string> warnings() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

// Turns ids into text as they come, never splitting a UTF-8 character.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(const Tokenizer& tokenizer);  // borrowed
  std::string push(TokenId id);                               // what can be shown now, may be empty
  std::string finish();  // the rest; invalid bytes become U+FFFD

 private:
  const Tokenizer& m_tokenizer;
  std::string m_pending;
  bool m_first = true;
};

}  // namespace bitloom

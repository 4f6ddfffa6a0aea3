// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/tokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <unordered_set>
#include <variant>

#include "core/base/strings.h"
#include "core/inference/bpe.h"
#include "core/inference/spm.h"
#include "core/inference/vocabulary.h"

namespace bitloom {
namespace {

// Control tokens with which the well-known chat formats end a turn.
constexpr std::array<std::string_view, 11> kTurnEnds = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|return|>",
    "</s>",
    "<EOT>",
    "<\xef\xbd\x9c"
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
};

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// Bytes of the character at the front of `text`; 0 when the text ends within what could still
// become one; negative when its first byte can belong to none.
int completeLength(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  utf8proc_int32_t character = 0;
  const auto step = utf8proc_iterate(bytes, utf8proc_ssize_t(text.size()), &character);
  if (step > 0) return int(step);
  const uint8_t lead = bytes[0];
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() >= length) return -1;
  // The second byte alone decides whether a surrogate, an overlong or too large number follows.
  if (text.size() > 1) {
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (bytes[1] < low || bytes[1] > high) return -1;
  }
  if (text.size() > 2 && (bytes[2] & 0xc0) != 0x80) return -1;
  return 0;
}

}  // namespace

struct Tokenizer::State {
  State(Vocabulary read, std::variant<BytePairEncoder, SentencePieceEncoder> made)
      : vocabulary(std::move(read)), encoder(std::move(made)), specials(vocabulary) {}

  void encode(std::string_view text, bool atStart, std::vector<TokenId>& out) const {
    if (const auto* bpe = std::get_if<BytePairEncoder>(&encoder)) {
      bpe->encode(vocabulary, text, out);
    } else {
      std::get<SentencePieceEncoder>(encoder).encode(vocabulary, text, atStart, out);
    }
  }

  bool isToken(TokenId id) const { return id >= 0 && size_t(id) < vocabulary.texts.size(); }

  bool stripsSpace() const {
    const auto* spm = std::get_if<SentencePieceEncoder>(&encoder);
    return spm != nullptr && spm->addsSpacePrefix();
  }

  Vocabulary vocabulary;
  std::variant<BytePairEncoder, SentencePieceEncoder> encoder;
  SpecialTokens specials;
  std::string model, preTokenizer;
  std::optional<TokenId> bos, eos;
  bool addsBos = false;
  std::unordered_set<TokenId> turnEnds;
  std::vector<std::string> warnings;
};

namespace {

Result<PreTokenizer> readPreTokenizer(const Metadata& metadata,
                                      std::vector<std::string>& warnings) {
  const auto name = metadata.stringOf("tokenizer.ggml.pre");
  TRY(PreTokenizer result, PreTokenizer::create(name.value_or("default")));
  if (!name) {
    warnings.push_back(
        "The file names no pre-tokenizer (tokenizer.ggml.pre is absent), so "
        "\"default\" is used and ids may differ from the model's own.");
  } else if (!result.known()) {
    warnings.push_back(strCat("The pre-tokenizer \"", validUtf8(*name),
                              "\" is not known, so \"default\" is used and ids may differ from the "
                              "model's own."));
  }
  return result;
}

}  // namespace

Result<Tokenizer> Tokenizer::create(const Metadata& metadata) {
  TRY(Vocabulary vocabulary, Vocabulary::read(metadata));
  const auto model = metadata.stringOf("tokenizer.ggml.model");
  if (!model) return makeError(ErrorCode::Corrupt, "tokenizer.ggml.model is not a string.");
  if (*model != "gpt2" && *model != "llama") {
    return makeError(ErrorCode::Unsupported, "tokenizer.ggml.model is \"", validUtf8(*model),
                     "\", and only \"gpt2\" (byte-level BPE) and \"llama\" (SPM) are supported.");
  }
  TRY(auto bos, vocabulary.idOf(metadata, "tokenizer.ggml.bos_token_id"));
  TRY(auto eos, vocabulary.idOf(metadata, "tokenizer.ggml.eos_token_id"));
  TRY(auto eot, vocabulary.idOf(metadata, "tokenizer.ggml.eot_token_id"));
  TRY(auto eom, vocabulary.idOf(metadata, "tokenizer.ggml.eom_token_id"));
  TRY(auto unknown, vocabulary.idOf(metadata, "tokenizer.ggml.unknown_token_id"));

  std::vector<std::string> warnings;
  std::unique_ptr<State> state;
  bool addsBos = true;
  if (*model == "gpt2") {
    TRY(PreTokenizer preTokenizer, readPreTokenizer(metadata, warnings));
    addsBos = preTokenizer.addsBos();
    TRY(auto bpe, BytePairEncoder::create(metadata, vocabulary, std::move(preTokenizer)));
    state = std::make_unique<State>(std::move(vocabulary), std::move(bpe));
  } else {
    if (!bos) bos = vocabulary.find("<s>");
    if (!eos) eos = vocabulary.find("</s>");
    TRY(auto spm, SentencePieceEncoder::create(metadata, vocabulary, unknown));
    state = std::make_unique<State>(std::move(vocabulary), std::move(spm));
  }
  state->model = *model;
  state->preTokenizer = metadata.stringOf("tokenizer.ggml.pre").value_or("");
  state->bos = bos;
  state->eos = eos;
  state->addsBos = bos && metadata.boolOf("tokenizer.ggml.add_bos_token").value_or(addsBos);
  state->warnings = std::move(warnings);
  for (const auto& id : {eos, eot, eom}) {
    if (id) state->turnEnds.insert(*id);
  }
  for (const std::string_view text : kTurnEnds) {
    const auto id = state->vocabulary.find(text);
    if (id && state->vocabulary.types[size_t(*id)] != TokenType::Normal)
      state->turnEnds.insert(*id);
  }
  return Tokenizer(std::move(state));
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : m_state(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool special) const {
  const State& state = *m_state;
  std::vector<TokenId> ids;
  bool atStart = true;
  for (size_t done = 0; done < text.size();) {
    const auto match = state.specials.next(state.vocabulary, text, done, special);
    const size_t end = match ? match->begin : text.size();
    if (end > done) state.encode(text.substr(done, end - done), atStart, ids);
    if (!match) break;
    ids.push_back(match->id);
    atStart = true;
    done = end + state.vocabulary.texts[size_t(match->id)].size();
  }
  return ids;
}

std::vector<TokenId> Tokenizer::encodeWithBos(std::string_view text, bool special) const {
  std::vector<TokenId> ids = encode(text, special);
  const bool present = !ids.empty() && m_state->bos && ids.front() == *m_state->bos;
  if (m_state->addsBos && !present) ids.insert(ids.begin(), *m_state->bos);
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool showSpecial) const {
  std::string text;
  bool atStart = true;
  for (const TokenId id : ids) {
    if (!m_state->isToken(id)) continue;
    const bool hidden = m_state->vocabulary.isHidden(id);
    std::string bytes = piece(id, showSpecial);
    if (atStart && !hidden && m_state->stripsSpace() && bytes.starts_with(' ')) bytes.erase(0, 1);
    text += bytes;
    atStart = hidden;
  }
  return text;
}

std::string Tokenizer::piece(TokenId id, bool showSpecial) const {
  const State& state = *m_state;
  if (!state.isToken(id)) return {};
  const std::string& text = state.vocabulary.texts[size_t(id)];
  if (state.vocabulary.isHidden(id)) return showSpecial ? text : std::string();
  if (state.vocabulary.types[size_t(id)] == TokenType::UserDefined) return text;
  if (const auto* spm = std::get_if<SentencePieceEncoder>(&state.encoder)) {
    return spm->bytesOf(state.vocabulary, id);
  }
  return bytesOfPrintable(text);
}

size_t Tokenizer::size() const { return m_state->vocabulary.texts.size(); }
std::optional<TokenId> Tokenizer::bos() const { return m_state->bos; }
std::optional<TokenId> Tokenizer::eos() const { return m_state->eos; }
bool Tokenizer::addsBos() const { return m_state->addsBos; }
bool Tokenizer::endsTurn(TokenId id) const { return m_state->turnEnds.contains(id); }
std::optional<TokenId> Tokenizer::find(std::string_view text) const {
  return m_state->vocabulary.find(text);
}
std::string_view Tokenizer::model() const { return m_state->model; }
std::string_view Tokenizer::preTokenizer() const { return m_state->preTokenizer; }
std::span<const std::string> Tokenizer::warnings() const { return m_state->warnings; }

StreamingDetokenizer::StreamingDetokenizer(const Tokenizer& tokenizer) : m_tokenizer(tokenizer) {}

std::string StreamingDetokenizer::push(TokenId id) {
  // Only `decode` knows about the space that SPM puts in front of a text.
  const std::string bytes = m_first ? m_tokenizer.decode({&id, 1}) : m_tokenizer.piece(id);
  m_first = bytes.empty() && m_tokenizer.piece(id).empty();
  m_pending += bytes;

  std::string ready;
  std::string_view rest = m_pending;
  while (!rest.empty()) {
    const int length = completeLength(rest);
    if (length == 0) break;
    if (length < 0) {
      ready += kReplacement;
    } else {
      ready += rest.substr(0, size_t(length));
    }
    rest.remove_prefix(size_t(std::max(length, 1)));
  }
  m_pending = std::string(rest);
  return ready;
}

std::string StreamingDetokenizer::finish() {
  std::string rest;
  for (size_t i = 0; i < m_pending.size(); ++i) rest += kReplacement;
  m_pending.clear();
  m_first = true;
  return rest;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/spm.h"

#include <utf8proc.h>

#include <charconv>
#include <cmath>

#include "core/base/strings.h"
#include "core/inference/merge.h"

namespace bitloom {
namespace {

constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581

std::string withVisibleSpaces(std::string_view text, bool prefix) {
  std::string result(prefix ? kSpace : "");
  result.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      result += kSpace;
    } else {
      result += c;
    }
  }
  return result;
}

bool hasInnerSpace(std::string_view text) {
  while (text.starts_with(kSpace)) text.remove_prefix(kSpace.size());
  return text.find(kSpace) != std::string_view::npos;
}

// Where the word that starts at `begin` ends: spaces, then everything up to the next space.
size_t wordEnd(std::string_view text, size_t begin) {
  size_t end = begin;
  while (text.substr(end).starts_with(kSpace)) end += kSpace.size();
  return std::min(text.find(kSpace, end), text.size());
}

size_t characterLength(std::string_view text) {
  utf8proc_int32_t character = 0;
  const utf8proc_ssize_t step =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                       utf8proc_ssize_t(text.size()), &character);
  return step <= 0 ? 1 : size_t(step);
}

// "<0x0A>" → 10.
std::optional<uint8_t> byteOf(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  uint8_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
  if (error != std::errc() || end != text.data() + 5) return std::nullopt;
  return value;
}

}  // namespace

Result<SentencePieceEncoder> SentencePieceEncoder::create(const Metadata& metadata,
                                                          const Vocabulary& vocabulary,
                                                          std::optional<TokenId> unknown) {
  const MetaArray* scores = metadata.arrayOf(kScores);
  if (scores == nullptr || scores->type == MetaType::String ||
      scores->size() != vocabulary.texts.size()) {
    return makeError(ErrorCode::Corrupt, kScores, " is not an array of ", vocabulary.texts.size(),
                     " numbers, one for each token.");
  }
  SentencePieceEncoder result;
  result.m_scores.resize(scores->size());
  result.m_byteTokens.fill(kNoToken);
  result.m_unknown = unknown.value_or(kNoToken);
  result.m_addsSpacePrefix = metadata.boolOf("tokenizer.ggml.add_space_prefix").value_or(true);
  for (size_t i = 0; i < scores->size(); ++i) {
    const double score = scores->number(i);
    if (std::isnan(score)) {
      return makeError(ErrorCode::Corrupt, kScores, " entry ", i, " is not a number.");
    }
    result.m_scores[i] = float(score);
    const std::string& text = vocabulary.texts[i];
    if (vocabulary.types[i] == TokenType::Byte) {
      if (const auto byte = byteOf(text)) result.m_byteTokens[*byte] = TokenId(i);
    } else if (hasInnerSpace(text)) {
      result.m_spacesLead = false;
    }
  }
  return result;
}

std::optional<TokenId> SentencePieceEncoder::mergeable(const Vocabulary& vocabulary,
                                                       std::string_view text) const {
  const auto id = vocabulary.find(text);
  if (!id || vocabulary.isHidden(*id) || vocabulary.types[size_t(*id)] == TokenType::Byte) {
    return std::nullopt;
  }
  return id;
}

void SentencePieceEncoder::encodeWord(const Vocabulary& vocabulary, std::string_view word,
                                      std::vector<TokenId>& out) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (size_t begin = 0; begin < word.size();) {
    const size_t length = characterLength(word.substr(begin));
    const auto id = mergeable(vocabulary, word.substr(begin, length));
    symbols.push_back(
        Symbol{.begin = uint32_t(begin), .length = uint32_t(length), .id = id.value_or(kNoToken)});
    begin += length;
  }
  joinSymbols(symbols, [&](const Symbol& left, const Symbol& right, Join& join) {
    const auto id = mergeable(vocabulary, word.substr(left.begin, left.length + right.length));
    if (!id) return false;
    join = Join{-double(m_scores[size_t(*id)]), *id};
    return true;
  });
  for (int32_t i = symbols.empty() ? -1 : 0; i >= 0; i = symbols[size_t(i)].next) {
    const Symbol& symbol = symbols[size_t(i)];
    if (symbol.id != kNoToken) {
      out.push_back(symbol.id);
      continue;
    }
    for (const char byte : word.substr(symbol.begin, symbol.length)) {
      const TokenId id = m_byteTokens[uint8_t(byte)];
      if (id != kNoToken || m_unknown != kNoToken) out.push_back(id != kNoToken ? id : m_unknown);
    }
  }
}

void SentencePieceEncoder::encode(const Vocabulary& vocabulary, std::string_view text, bool atStart,
                                  std::vector<TokenId>& out) const {
  if (text.empty()) return;
  const std::string visible = withVisibleSpaces(text, atStart && m_addsSpacePrefix);
  if (!m_spacesLead) {
    encodeWord(vocabulary, visible, out);
    return;
  }
  WordCache cache;
  const auto encodeOne = [&](std::string_view word, std::vector<TokenId>& ids) {
    encodeWord(vocabulary, word, ids);
  };
  const std::string_view all = visible;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = wordEnd(all, begin);
    cache.append(all.substr(begin, end - begin), out, encodeOne);
    begin = end;
  }
}

std::string SentencePieceEncoder::bytesOf(const Vocabulary& vocabulary, TokenId id) const {
  const std::string& text = vocabulary.texts[size_t(id)];
  if (vocabulary.types[size_t(id)] == TokenType::Byte) {
    if (const auto byte = byteOf(text)) return std::string(1, char(*byte));
  }
  std::string bytes;
  for (size_t i = 0; i < text.size();) {
    if (std::string_view(text).substr(i).starts_with(kSpace)) {
      bytes += ' ';
      i += kSpace.size();
    } else {
      bytes += text[i++];
    }
  }
  return bytes;
}

}  // namespace bitloom

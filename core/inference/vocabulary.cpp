// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/vocabulary.h"

#include <algorithm>

#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";

Result<void> readTypes(const Metadata& metadata, std::vector<TokenType>& types) {
  if (metadata.find(kTypes) == nullptr) return {};
  const MetaArray* array = metadata.arrayOf(kTypes);
  if (array == nullptr || array->type == MetaType::String) {
    return makeError(ErrorCode::Corrupt, kTypes, " is not an array of numbers.");
  }
  if (array->size() != types.size()) {
    return makeError(ErrorCode::Corrupt, kTypes, " has ", array->size(), " entries for ",
                     types.size(), " tokens.");
  }
  for (size_t i = 0; i < types.size(); ++i) {
    const double type = array->number(i);
    // Newer files may hold kinds that are not known here: they are ordinary text.
    types[i] = type >= 1 && type <= 6 ? TokenType(int(type)) : TokenType::Normal;
  }
  return {};
}

}  // namespace

Result<Vocabulary> Vocabulary::read(const Metadata& metadata) {
  if (metadata.find(kTokens) == nullptr) {
    return makeError(ErrorCode::NotFound, "The model holds no tokenizer (", kTokens,
                     " is absent).");
  }
  const MetaArray* array = metadata.arrayOf(kTokens);
  if (array == nullptr || array->type != MetaType::String || array->strings.empty()) {
    return makeError(ErrorCode::Corrupt, kTokens, " is not a filled array of strings.");
  }
  Vocabulary result;
  result.texts = array->strings;
  result.types.assign(result.texts.size(), TokenType::Normal);
  TRY(readTypes(metadata, result.types));
  result.ids.reserve(result.texts.size());
  for (size_t i = 0; i < result.texts.size(); ++i) {
    // An empty text would match everywhere; of equal texts the last counts, as in llama.cpp.
    if (!result.texts[i].empty()) result.ids[result.texts[i]] = TokenId(i);
  }
  return result;
}

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
  const auto found = ids.find(text);
  if (found == ids.end()) return std::nullopt;
  return found->second;
}

bool Vocabulary::isHidden(TokenId id) const {
  const TokenType type = types[size_t(id)];
  return type == TokenType::Control || type == TokenType::Unknown;
}

Result<std::optional<TokenId>> Vocabulary::idOf(const Metadata& metadata,
                                                std::string_view key) const {
  if (metadata.find(key) == nullptr) return std::optional<TokenId>();
  const std::optional<uint64_t> id = metadata.unsignedOf(key);
  // Writers mark "none" by −1 or by the largest 32-bit number.
  const std::optional<double> number = metadata.numberOf(key);
  if (number && (*number == -1 || *number == double(UINT32_MAX))) return std::optional<TokenId>();
  if (!id || *id >= texts.size()) {
    return makeError(ErrorCode::Corrupt, key, " is not the id of one of the ", texts.size(),
                     " tokens.");
  }
  return std::optional<TokenId>(TokenId(*id));
}

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  for (size_t i = 0; i < vocabulary.texts.size(); ++i) {
    const TokenType type = vocabulary.types[i];
    const bool stands = type == TokenType::UserDefined || vocabulary.isHidden(TokenId(i));
    if (!stands || vocabulary.texts[i].empty()) continue;
    m_byFirstByte[uint8_t(vocabulary.texts[i].front())].push_back(TokenId(i));
  }
  for (std::vector<TokenId>& ids : m_byFirstByte) {
    std::stable_sort(ids.begin(), ids.end(), [&](TokenId a, TokenId b) {
      return vocabulary.texts[size_t(a)].size() > vocabulary.texts[size_t(b)].size();
    });
  }
}

std::optional<SpecialTokens::Match> SpecialTokens::next(const Vocabulary& vocabulary,
                                                        std::string_view text, size_t from,
                                                        bool hidden) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    for (const TokenId id : m_byFirstByte[uint8_t(text[begin])]) {
      if (!hidden && vocabulary.isHidden(id)) continue;
      if (text.substr(begin).starts_with(vocabulary.texts[size_t(id)])) return Match{begin, id};
    }
  }
  return std::nullopt;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/bpe.h"

#include <utf8proc.h>

#include "core/base/strings.h"
#include "core/inference/merge.h"

namespace bitloom {
namespace {

constexpr std::string_view kMerges = "tokenizer.ggml.merges";

// Printable Latin-1 bytes are their own character; the others follow from U+0100 on.
struct ByteAlphabet {
  std::array<std::string, 256> textOfByte;
  std::array<int, 0x144> byteOfCharacter;  // −1: no byte

  ByteAlphabet() {
    byteOfCharacter.fill(-1);
    int unprintable = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
      const int character = printable ? byte : 0x100 + unprintable++;
      std::array<utf8proc_uint8_t, 4> utf8{};
      const utf8proc_ssize_t length = utf8proc_encode_char(character, utf8.data());
      textOfByte[size_t(byte)].assign(utf8.begin(), utf8.begin() + length);
      byteOfCharacter[size_t(character)] = byte;
    }
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet instance;
  return instance;
}

uint64_t pairKey(TokenId left, TokenId right) {
  return (uint64_t(uint32_t(left)) << 32) | uint32_t(right);
}

Error unknownPart(size_t index, std::string_view merge, std::string_view part, size_t tokens) {
  return makeError(ErrorCode::Corrupt, kMerges, " entry ", index, " (\"", validUtf8(merge),
                   "\") names \"", validUtf8(part), "\", which is none of the ", tokens,
                   " tokens.");
}

}  // namespace

std::string bytesOfPrintable(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    utf8proc_int32_t character = -1;
    utf8proc_ssize_t step = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             utf8proc_ssize_t(text.size()), &character);
    if (step <= 0) step = 1;
    const bool small = character >= 0 && size_t(character) < alphabet().byteOfCharacter.size();
    const int byte = small ? alphabet().byteOfCharacter[size_t(character)] : -1;
    if (byte >= 0) {
      bytes.push_back(char(byte));
    } else {
      bytes += text.substr(0, size_t(step));
    }
    text.remove_prefix(size_t(step));
  }
  return bytes;
}

std::string printableOfBytes(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += alphabet().textOfByte[uint8_t(byte)];
  return text;
}

BytePairEncoder::BytePairEncoder(PreTokenizer preTokenizer)
    : m_preTokenizer(std::move(preTokenizer)) {}

Result<BytePairEncoder> BytePairEncoder::create(const Metadata& metadata,
                                                const Vocabulary& vocabulary,
                                                PreTokenizer preTokenizer) {
  const MetaArray* merges = metadata.arrayOf(kMerges);
  if (merges == nullptr || merges->type != MetaType::String) {
    return makeError(ErrorCode::Corrupt, kMerges,
                     " is not an array of strings, which a byte-level tokenizer needs.");
  }
  BytePairEncoder result(std::move(preTokenizer));
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto id = vocabulary.find(alphabet().textOfByte[byte]);
    result.m_byteTokens[byte] = id.value_or(kNoToken);
  }
  result.m_merges.reserve(merges->strings.size());
  for (size_t i = 0; i < merges->strings.size(); ++i) {
    const std::string& merge = merges->strings[i];
    const size_t space = merge.find(' ', 1);
    if (merge.empty() || space == std::string::npos || space + 1 == merge.size()) {
      return makeError(ErrorCode::Corrupt, kMerges, " entry ", i, " (\"", validUtf8(merge),
                       "\") is not two texts with a space between them.");
    }
    const std::string left = merge.substr(0, space);
    const std::string right = merge.substr(space + 1);
    const auto leftId = vocabulary.find(left);
    const auto rightId = vocabulary.find(right);
    const auto joined = vocabulary.find(left + right);
    const size_t count = vocabulary.texts.size();
    if (!leftId) return unknownPart(i, merge, left, count);
    if (!rightId) return unknownPart(i, merge, right, count);
    if (!joined) return unknownPart(i, merge, left + right, count);
    result.m_merges.try_emplace(pairKey(*leftId, *rightId), Merge{uint32_t(i), *joined});
  }
  return result;
}

void BytePairEncoder::encodeWord(const Vocabulary& vocabulary, std::string_view word,
                                 std::vector<TokenId>& out) const {
  if (m_preTokenizer.takesWholeWords()) {
    const auto whole = vocabulary.find(printableOfBytes(word));
    if (whole && vocabulary.types[size_t(*whole)] == TokenType::Normal) {
      out.push_back(*whole);
      return;
    }
  }
  std::vector<Symbol> symbols(word.size());
  for (size_t i = 0; i < word.size(); ++i) {
    symbols[i] = Symbol{.begin = uint32_t(i), .length = 1, .id = m_byteTokens[uint8_t(word[i])]};
  }
  joinSymbols(symbols, [&](const Symbol& left, const Symbol& right, Join& join) {
    const auto merge = m_merges.find(pairKey(left.id, right.id));
    if (merge == m_merges.end()) return false;
    join = Join{double(merge->second.rank), merge->second.result};
    return true;
  });
  for (int32_t i = symbols.empty() ? -1 : 0; i >= 0; i = symbols[size_t(i)].next) {
    if (symbols[size_t(i)].id != kNoToken) out.push_back(symbols[size_t(i)].id);
  }
}

void BytePairEncoder::encode(const Vocabulary& vocabulary, std::string_view text,
                             std::vector<TokenId>& out) const {
  WordCache cache;
  const auto encodeOne = [&](std::string_view word, std::vector<TokenId>& ids) {
    encodeWord(vocabulary, word, ids);
  };
  for (const std::string_view word : m_preTokenizer.split(text)) {
    cache.append(word, out, encodeOne);
  }
}

}  // namespace bitloom

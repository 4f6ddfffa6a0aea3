// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

#include <algorithm>
#include <string>

#include "core/base/strings.h"

namespace bitloom {
namespace {

// White_Space of Unicode. PCRE2's own \s differs by U+180E, so \s and \S are spelt out.
constexpr std::string_view kSpaces =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// Where \s+ is the last resort of the original pattern, the rest between matches is a word anyway.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))";
constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = "[0-9][0-9][0-9]";

#define CONTRACTIONS R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))"
#define SPACE_TAIL R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define CASED_WORD(tail)                           \
  R"([^\r\n\p{L}\p{N}]?)" UPPER "*" LOWER "+" tail \
  "|"                                              \
  R"([^\r\n\p{L}\p{N}]?)" UPPER "+" LOWER "*" tail

constexpr std::string_view kLlama3 =
    CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)" SPACE_TAIL;
constexpr std::string_view kQwen2 =
    CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)" SPACE_TAIL;
constexpr std::string_view kTekken =
    CASED_WORD("") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" SPACE_TAIL;
constexpr std::string_view kGpt4o =
    CASED_WORD(CONTRACTIONS "?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" SPACE_TAIL;

#undef CONTRACTIONS
#undef SPACE_TAIL
#undef UPPER
#undef LOWER
#undef CASED_WORD

struct Rule {
  std::vector<std::string_view> names;
  std::vector<std::string_view> patterns;  // each splits what the one before it has left
  bool takesWholeWords = false;
  bool addsBos = false;
};

// Names as the GGUF converter of llama.cpp writes them, patterns as in the models' tokenizer.json.
const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {
      {{"default"}, {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", kThreeDigits}},
      {{"gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "jina-es", "jina-de", "jina-v1-en",
        "jina-v2-es", "jina-v2-de", "jina-v2-code", "roberta-bpe", "gigachat", "mellum", "a.x-4.0",
        "trillion", "modern-bert"},
       {kGpt2}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {kLlama3},
       true,
       true},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {kLlama3}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"},
       {kDigit, kGpt2}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo"}, {kQwen2}},
      {{"falcon"}, {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, kThreeDigits}},
      {{"tekken"}, {kTekken}, true, true},
      {{"gpt-4o", "llama4"}, {kGpt4o}},
      {{"deepseek-v3", "hunyuan-dense"},
       {R"(\p{N}{1,3})", R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)",
        R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
        R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
  };
  return all;
}

// Replaces \s and \S by the set above, inside a character class without its brackets.
std::string withSpaces(std::string_view pattern) {
  std::string result;
  bool inClass = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view pair = pattern.substr(i, 2);
    if (pair == "\\s" || pair == "\\S") {
      CHECK(pair == "\\s" || !inClass);
      if (!inClass) result += pair == "\\s" ? "[" : "[^";
      result += kSpaces;
      if (!inClass) result += "]";
      ++i;
      continue;
    }
    if (pattern[i] == '\\') {
      result += pair;
      ++i;
      continue;
    }
    if (pattern[i] == '[') inClass = true;
    if (pattern[i] == ']') inClass = false;
    result += pattern[i];
  }
  return result;
}

size_t validPrefix(std::string_view text) {
  size_t length = 0;
  while (length < text.size()) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t step =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + length,
                         utf8proc_ssize_t(text.size() - length), &character);
    if (step <= 0) break;
    length += size_t(step);
  }
  return length;
}

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
using MatchData = std::unique_ptr<pcre2_match_data, MatchDataDeleter>;

}  // namespace

struct PreTokenizer::Pattern {
  explicit Pattern(pcre2_code* compiled) : code(compiled) {}
  ~Pattern() { pcre2_code_free(code); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  // `text` is valid UTF-8. Matches and what lies between them become words.
  void split(std::string_view text, pcre2_match_data* data,
             std::vector<std::string_view>& words) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data);
    size_t done = 0;
    while (done < text.size()) {
      int found = pcre2_match(code, subject, text.size(), done, PCRE2_NO_UTF_CHECK, data, nullptr);
      if (found < PCRE2_ERROR_NOMATCH) {  // the compiled matcher ran out of stack
        found = pcre2_match(code, subject, text.size(), done, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                            data, nullptr);
      }
      if (found < 0 || bounds[1] <= bounds[0]) break;
      if (bounds[0] > done) words.push_back(text.substr(done, bounds[0] - done));
      words.push_back(text.substr(bounds[0], bounds[1] - bounds[0]));
      done = bounds[1];
    }
    if (done < text.size()) words.push_back(text.substr(done));
  }

  pcre2_code* code;
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::create(std::string_view name) {
  PreTokenizer result;
  const auto named = std::find_if(rules().begin(), rules().end(), [&](const Rule& rule) {
    return std::find(rule.names.begin(), rule.names.end(), name) != rule.names.end();
  });
  result.m_known = named != rules().end();
  const Rule& rule = result.m_known ? *named : rules().front();
  result.m_takesWholeWords = rule.takesWholeWords;
  result.m_addsBos = rule.addsBos;
  for (const std::string_view source : rule.patterns) {
    const std::string pattern = withSpaces(source);
    int error = 0;
    PCRE2_SIZE position = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                     PCRE2_UTF, &error, &position, nullptr);
    if (code == nullptr) {
      return makeError(ErrorCode::Unsupported, "The pattern of pre-tokenizer \"", name,
                       "\" is refused by PCRE2 at character ", position, " (error ", error, ").");
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it the interpreter does the same
    result.m_patterns.push_back(std::make_unique<Pattern>(code));
  }
  return result;
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  const MatchData data(pcre2_match_data_create(8, nullptr));
  CHECK(data != nullptr);
  std::vector<std::string_view> words;
  std::vector<std::string_view> before, after;
  while (!text.empty()) {
    const size_t valid = validPrefix(text);
    before.assign(1, text.substr(0, valid));
    for (const std::unique_ptr<Pattern>& pattern : m_patterns) {
      after.clear();
      for (const std::string_view piece : before) pattern->split(piece, data.get(), after);
      before.swap(after);
    }
    words.insert(words.end(), before.begin(), before.end());
    text.remove_prefix(valid);
    if (!text.empty()) {
      words.push_back(text.substr(0, 1));
      text.remove_prefix(1);
    }
  }
  return words;
}

}  // namespace bitloom

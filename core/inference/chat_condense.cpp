// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/chat_families.h"

namespace bitloom {
namespace {

constexpr std::string_view kSpaces = " \t\r\n\v\f";

void replaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// Appends the literal that begins at `source[at]` (a quote); returns where it ends.
size_t condenseLiteral(std::string_view source, size_t at, std::string& out) {
  const char quote = source[at++];
  out += '\'';
  while (at < source.size() && source[at] != quote) {
    if (source[at] == '\\' && at + 1 < source.size()) {
      out += source.substr(at, 2);
      at += 2;
    } else if (source[at] == '\n') {
      out += "\\n";
      ++at;
    } else {
      if (source[at] == '\'') out += '\\';
      out += source[at++];
    }
  }
  out += '\'';
  return at + 1;
}

// Appends the tag that begins at `source[at]` with {{ or {%; returns where it ends.
size_t condenseTag(std::string_view source, size_t at, std::string& out) {
  const char kind = source[at + 1];
  const char close = kind == '{' ? '}' : '%';
  std::string code;
  out += source.substr(at, 2);
  at += 2;
  if (at < source.size() && (source[at] == '-' || source[at] == '+')) ++at;
  while (at < source.size()) {
    const bool trimming = source[at] == '-';
    if (source.substr(at + (trimming ? 1 : 0), 2) == std::string{close, '}'}) {
      at += trimming ? 3 : 2;
      break;
    }
    if (source[at] == '\'' || source[at] == '"') {
      replaceAll(code, ".role", "['role']");
      replaceAll(code, ".content", "['content']");
      out += code;
      code.clear();
      at = condenseLiteral(source, at, out);
    } else {
      if (kSpaces.find(source[at]) == std::string_view::npos) code += source[at];
      ++at;
    }
  }
  replaceAll(code, ".role", "['role']");
  replaceAll(code, ".content", "['content']");
  out += code;
  out += close;
  out += '}';
  return at;
}

std::string unescape(std::string_view literal) {
  std::string text;
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] != '\\' || i + 1 == literal.size()) {
      text += literal[i];
      continue;
    }
    const char next = literal[++i];
    text += next == 'n' ? '\n' : next == 't' ? '\t' : next == 'r' ? '\r' : next;
  }
  return text;
}

}  // namespace

std::string condenseTemplate(std::string_view source) {
  std::string result;
  for (size_t at = 0; at < source.size();) {
    const std::string_view pair = source.substr(at, 2);
    if (pair == "{#") {
      const size_t end = source.find("#}", at + 2);
      at = end == std::string_view::npos ? source.size() : end + 2;
    } else if (pair == "{{" || pair == "{%") {
      at = condenseTag(source, at, result);
    } else {
      if (kSpaces.find(source[at]) == std::string_view::npos) result += source[at];
      ++at;
    }
  }
  replaceAll(result, "'+'", "");
  // Says nothing: an undefined value counts as false anyway.
  constexpr std::string_view kNoPrompt =
      "{%ifnotadd_generation_promptisdefined%}{%setadd_generation_prompt=false%}{%endif%}";
  if (result.starts_with(kNoPrompt)) result.erase(0, kNoPrompt.size());
  return result;
}

std::optional<std::string> matchFamily(const ChatFamily& family, std::string_view condensed) {
  std::string system;
  size_t done = 0;
  for (size_t i = 0; i < family.fragments.size(); ++i) {
    const std::string_view fragment = family.fragments[i];
    const bool isLast = i + 1 == family.fragments.size();
    size_t at = condensed.find(fragment, done);
    if (isLast && condensed.ends_with(fragment) && condensed.size() - fragment.size() >= done) {
      at = condensed.size() - fragment.size();
    }
    if (at == std::string_view::npos || (i == 0 && at != 0)) return std::nullopt;
    if (family.systemAfter >= 0 && i == size_t(family.systemAfter) + 1) {
      system = unescape(condensed.substr(done, at - done));
    }
    done = at + fragment.size();
  }
  if (done != condensed.size()) return std::nullopt;
  return system;
}

}  // namespace bitloom

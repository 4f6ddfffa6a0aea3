// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/strings.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace bitloom {
namespace {

struct Unit {
  std::string_view name;
  uint64_t bytes;
};

constexpr std::array<Unit, 5> kDecimal = {
    {{"B", 1}, {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000}, {"TB", 1000000000000}}};
constexpr std::array<Unit, 5> kBinary = {
    {{"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}}};

std::string fixed(double value, int decimals) {
  std::array<char, 64> text;
  const int length = std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return std::string(text.data(), size_t(length));
}

// Three significant digits in the largest unit that leaves at least 1.
std::string sizeIn(uint64_t bytes, const std::array<Unit, 5>& units, double step) {
  if (double(bytes) < step) return strCat(bytes, " B");
  size_t unit = 1;
  while (unit + 1 < units.size() && double(bytes) / double(units[unit].bytes) >= step - 0.5) ++unit;
  const double value = double(bytes) / double(units[unit].bytes);
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return strCat(fixed(value, decimals), " ", units[unit].name);
}

bool isSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && isSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && isSpace(text.back())) text.remove_suffix(1);
  return text;
}

// 0 when no unit has that name.
uint64_t unitBytes(std::string_view name) {
  if (name.empty()) return 1;
  const std::string lower = toLower(name);
  for (const auto* units : {&kDecimal, &kBinary}) {
    for (const Unit& unit : *units) {
      if (toLower(unit.name) == lower) return unit.bytes;
    }
  }
  return 0;
}

bool isContinuation(unsigned char c) { return (c & 0xC0) == 0x80; }

// Length of the well-formed UTF-8 sequence at the start of `text` (Unicode 15, table 3-7), or 0.
size_t sequenceLength(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!isContinuation(at(i))) return 0;
  }
  // Overlong forms, surrogates and numbers past U+10FFFF show in the second byte.
  if (lead == 0xE0 && at(1) < 0xA0) return 0;
  if (lead == 0xED && at(1) > 0x9F) return 0;
  if (lead == 0xF0 && at(1) < 0x90) return 0;
  if (lead == 0xF4 && at(1) > 0x8F) return 0;
  return length;
}

}  // namespace

bool globMatch(std::string_view pattern, std::string_view text) {
  // On a mismatch only the last * needs to take one character more: linear memory, no recursion.
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t starText = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      starText = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++starText;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string toLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  }
  return lower;
}

std::string grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t i = digits.size(); i > 3;) {
    i -= 3;
    digits.insert(i, 1, ' ');
  }
  return digits;
}

std::string decimalSize(uint64_t bytes) { return sizeIn(bytes, kDecimal, 1000); }
std::string binarySize(uint64_t bytes) { return sizeIn(bytes, kBinary, 1024); }

Result<uint64_t> parseSize(std::string_view text) {
  const Error bad = makeError(ErrorCode::InvalidArgument, "\"", validUtf8(text),
                              "\" is not a size; 96MiB, 2.9GB and 123456 are.");
  const std::string_view body = trimmed(text);
  const size_t numberEnd = std::min(body.find_first_not_of("0123456789."), body.size());
  const std::string_view number = body.substr(0, numberEnd);
  const uint64_t unit = unitBytes(trimmed(body.substr(numberEnd)));
  if (number.empty() || unit == 0) return bad;

  const char* const end = number.data() + number.size();
  const Error large = makeError(ErrorCode::InvalidArgument, "The size \"", validUtf8(text),
                                "\" is larger than 2^64 bytes.");
  if (number.find('.') == std::string_view::npos) {
    uint64_t whole = 0;
    if (std::from_chars(number.data(), end, whole).ec != std::errc{}) return large;
    if (whole > std::numeric_limits<uint64_t>::max() / unit) return large;
    return whole * unit;
  }
  double value = 0;
  const auto [stop, code] = std::from_chars(number.data(), end, value, std::chars_format::fixed);
  if (code != std::errc{} || stop != end) return bad;
  const double bytes = std::round(value * double(unit));
  if (bytes >= 0x1p64) return large;
  return uint64_t(bytes);
}

std::string validUtf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t length = sequenceLength(bytes);
    if (length == 0) {
      text += "\xEF\xBF\xBD";
      bytes.remove_prefix(1);
    } else {
      text += bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
  }
  return text;
}

}  // namespace bitloom

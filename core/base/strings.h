// SPDX-License-Identifier: GPL-3.0-or-later
// The few string functions that core needs and C++20 with g++ 12 lacks.
#pragma once
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/result.h"

namespace bitloom {

// All parts as one string, as a stream would print them.
template <typename... Parts>
std::string strCat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <typename... Parts>
Error makeError(ErrorCode code, const Parts&... parts) {
  return Error{code, strCat(parts...)};
}

// True when `text` matches `pattern`, in which * stands for any run of characters and ? for one.
bool globMatch(std::string_view pattern, std::string_view text);

std::vector<std::string> split(std::string_view text, char separator);
std::string toLower(std::string_view text);  // ASCII only

// "812 345": digits in groups of three, for messages.
std::string grouped(uint64_t number);

// "2.91 GB" (decimal, 10^9) and "2.71 GiB" (binary, 2^30); smaller numbers use MB/kB, MiB/KiB.
std::string decimalSize(uint64_t bytes);
std::string binarySize(uint64_t bytes);

// "96MiB", "2.9 GB", "123456" → bytes. Units: B, kB/KB, MB, GB, TB, KiB, MiB, GiB, TiB.
Result<uint64_t> parseSize(std::string_view text);

// `bytes` made fit for a message or a JSON string: each byte that is not part of valid UTF-8
// becomes U+FFFD.
std::string validUtf8(std::string_view bytes);

}  // namespace bitloom

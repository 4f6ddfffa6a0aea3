// SPDX-License-Identifier: GPL-3.0-or-later
// Text to calibrate on: documents in named strata (prose, code, chat, …), read from plain text or
// from JSON lines, and what tells whether another text was among them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/inference/chat_template.h"
#include "kernels/base/result.h"

namespace bitloom {

struct CorpusText {
  std::string text;
  bool special = false;  // the text of control tokens stands for them: a template was applied
};

struct CorpusPart {
  std::string stratum;  // "text" when it was not named
  std::string file;     // name of the file, for people
  std::vector<CorpusText> documents;
};

// A file that ends in .jsonl is read line by line: {"text": …}, or {"messages": [{"role",
// "content"}, …]}. Messages are rendered by `chat`; without one their contents are taken, one after
// the other. Any other file is one document as it stands. An error names the file and the line.
Result<CorpusPart> readCorpusPart(const std::filesystem::path& path, std::string stratum,
                                  const ChatTemplate* chat);

CorpusPart plainPart(std::string file, std::string text);

// SHA-256 over the documents, 64 hex digits.
std::string hashOf(const CorpusPart& part);

// Hashes of runs of thirteen words (letters and digits, case aside), one of eight of them, chosen
// by the hash alone, so that the same run is kept in every text; ascending, without repeats.
std::vector<uint64_t> shinglesOf(std::string_view text);

// The share of `text` that is in `known`, 0 … 1; 0 when the text is too short to say. Both as
// `shinglesOf` gives them.
double overlapOf(std::span<const uint64_t> text, std::span<const uint64_t> known);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/corpus.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/base/strings.h"
#include "core/io/sha256.h"
#include "core/io/whole_file.h"

namespace bitloom {
namespace {

using Json = nlohmann::json;

constexpr size_t kShingleWords = 13;
constexpr uint64_t kShinglesKept = 8;  // one of so many

Result<CorpusText> documentOf(const Json& line, const ChatTemplate* chat) {
  if (line.contains("text")) return CorpusText{line.at("text").get<std::string>()};
  std::vector<ChatMessage> messages;
  for (const Json& message : line.at("messages")) {
    messages.push_back(
        {message.at("role").get<std::string>(), message.at("content").get<std::string>()});
  }
  if (chat != nullptr) {
    TRY(std::string rendered, chat->render(messages, false));
    return CorpusText{std::move(rendered), true};
  }
  std::string contents;
  for (const ChatMessage& message : messages) contents += message.content + "\n";
  return CorpusText{std::move(contents)};
}

Result<std::vector<CorpusText>> readLines(const std::filesystem::path& path, std::string_view bytes,
                                          const ChatTemplate* chat) {
  std::vector<CorpusText> documents;
  size_t number = 0;
  for (const std::string& line : split(bytes, '\n')) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto refused = [&](std::string_view why) {
      return makeError(ErrorCode::Corrupt, path.string(), ": line ", number, ": ", validUtf8(why));
    };
    try {
      auto document = documentOf(Json::parse(line), chat);
      if (!document) return refused(document.error().message);
      documents.push_back(std::move(*document));
    } catch (const Json::parse_error&) {
      return refused("is no JSON.");
    } catch (const Json::exception&) {
      return refused(
          "has neither a \"text\" nor \"messages\" of {\"role\", \"content\"}, as strings.");
    }
  }
  return documents;
}

// FNV-1a of a run of words, then mixed so that the low bits say nothing about the text.
uint64_t hashOfRun(std::span<const std::string> words) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const std::string& word : words) {
    for (const char c : word) add(static_cast<unsigned char>(c));
    add(' ');
  }
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccd;
  return hash ^ hash >> 33;
}

// Letters and digits, ASCII in lower case; every byte beyond ASCII counts as a letter.
std::vector<std::string> wordsOf(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool upper = byte >= 'A' && byte <= 'Z';
    const bool kept =
        upper || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte >= 0x80;
    if (kept) {
      word += upper ? char(byte - 'A' + 'a') : c;
    } else {
      finish();
    }
  }
  finish();
  return words;
}

}  // namespace

Result<CorpusPart> readCorpusPart(const std::filesystem::path& path, std::string stratum,
                                  const ChatTemplate* chat) {
  TRY(std::string bytes, readWholeFile(path));
  const std::string file = path.filename().string();
  if (!file.ends_with(".jsonl")) {
    return CorpusPart{std::move(stratum), file, {{std::move(bytes)}}};
  }
  TRY(auto documents, readLines(path, bytes, chat));
  if (documents.empty()) {
    return makeError(ErrorCode::InvalidArgument, path.string(), ": holds no document.");
  }
  return CorpusPart{std::move(stratum), file, std::move(documents)};
}

CorpusPart plainPart(std::string file, std::string text) {
  return {"text", std::move(file), {{std::move(text)}}};
}

std::string hashOf(const CorpusPart& part) {
  Sha256 hash;
  for (const CorpusText& document : part.documents) {
    const uint64_t length = document.text.size();
    hash.update(std::as_bytes(std::span(&length, 1)));
    hash.update(document.text);
  }
  return hash.hex();
}

std::vector<uint64_t> shinglesOf(std::string_view text) {
  const std::vector<std::string> words = wordsOf(text);
  std::vector<uint64_t> shingles;
  for (size_t i = 0; i + kShingleWords <= words.size(); ++i) {
    const uint64_t hash = hashOfRun(std::span(words).subspan(i, kShingleWords));
    if (hash % kShinglesKept == 0) shingles.push_back(hash);
  }
  std::sort(shingles.begin(), shingles.end());
  shingles.erase(std::unique(shingles.begin(), shingles.end()), shingles.end());
  return shingles;
}

double overlapOf(std::span<const uint64_t> text, std::span<const uint64_t> known) {
  const auto shared = std::count_if(text.begin(), text.end(), [&](uint64_t hash) {
    return std::binary_search(known.begin(), known.end(), hash);
  });
  return text.empty() ? 0 : double(shared) / double(text.size());
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/chat_template.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "core/base/strings.h"
#include "core/inference/chat_families.h"

namespace bitloom {
namespace {

std::string tokenText(const Metadata& metadata, std::string_view key) {
  const auto id = metadata.unsignedOf(key);
  const MetaArray* tokens = metadata.arrayOf("tokenizer.ggml.tokens");
  if (!id || tokens == nullptr || *id >= tokens->strings.size()) return {};
  return tokens->strings[size_t(*id)];
}

// "%d %b %Y" with English months whatever the locale.
std::string today() {
  constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return strCat(local.tm_mday < 10 ? "0" : "", local.tm_mday, " ", kMonths[size_t(local.tm_mon)],
                " ", 1900 + local.tm_year);
}

}  // namespace

ChatTemplate ChatTemplate::detect(const Metadata& metadata) {
  ChatTemplate result;
  result.m_bos = tokenText(metadata, "tokenizer.ggml.bos_token_id");
  result.m_eos = tokenText(metadata, "tokenizer.ggml.eos_token_id");
  result.m_family = plainChatMl().name;
  const auto source = metadata.stringOf("tokenizer.chat_template");
  if (!source || source->empty()) {
    result.m_source = "ChatML, since the model names none";
    return result;
  }
  const std::string condensed = condenseTemplate(*source);
  for (const ChatFamily& family : chatFamilies()) {
    if (const auto system = matchFamily(family, condensed)) {
      result.m_family = family.name;
      result.m_system = *system;
      result.m_source = strCat("template of the model (", family.name, ")");
      return result;
    }
  }
  result.m_source = "ChatML, since the model's own template is not one that Bitloom knows";
  return result;
}

Result<std::string> ChatTemplate::render(std::span<const ChatMessage> messages,
                                         bool addGenerationPrompt) const {
  return render(messages, addGenerationPrompt, today());
}

Result<std::string> ChatTemplate::render(std::span<const ChatMessage> messages,
                                         bool addGenerationPrompt, std::string_view date) const {
  if (messages.empty()) {
    return makeError(ErrorCode::InvalidArgument, "The conversation has no messages.");
  }
  for (const ChatMessage& message : messages) {
    if (message.role == "system" || message.role == "user" || message.role == "assistant") continue;
    return makeError(ErrorCode::InvalidArgument, "The role \"", validUtf8(message.role),
                     "\" is none of system, user and assistant.");
  }
  const auto families = chatFamilies();
  const auto family = std::find_if(families.begin(), families.end(),
                                   [&](const ChatFamily& f) { return f.name == m_family; });
  CHECK(family != families.end());
  return family->render(ChatContext{messages, addGenerationPrompt, m_bos, m_eos, m_system, date});
}

}  // namespace bitloom

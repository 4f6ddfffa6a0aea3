// SPDX-License-Identifier: GPL-3.0-or-later
// Renders a conversation as the prompt that a model was trained on. Templates are recognised by
// family from `tokenizer.chat_template`; a model without one, or with one that is not recognised,
// gets ChatML, and `source` says so (the full template language is not interpreted). A value; any
// thread.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "core/metadata.h"
#include "kernels/base/result.h"

namespace bitloom {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  static ChatTemplate detect(const Metadata& metadata);

  std::string_view family() const { return m_family; }  // "chatml", "llama-3.2", …
  // For people: "template of the model (smollm2)" or "ChatML, since the model names none".
  std::string_view source() const { return m_source; }

  // The error carries the sentence with which the family refuses the conversation. The rendered
  // text begins with the text of BOS where the template puts it; `encodeWithBos` does not double
  // it.
  Result<std::string> render(std::span<const ChatMessage> messages, bool addGenerationPrompt) const;
  // The same on another day than today, "26 Jul 2024" (Llama 3.2 tells the model the date).
  Result<std::string> render(std::span<const ChatMessage> messages, bool addGenerationPrompt,
                             std::string_view date) const;

 private:
  std::string m_family;
  std::string m_source;
  std::string m_system;  // the template's own system message, for families that have one
  std::string m_bos;
  std::string m_eos;
};

}  // namespace bitloom

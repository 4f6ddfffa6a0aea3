// SPDX-License-Identifier: GPL-3.0-or-later
// The chat formats that Bitloom renders itself, each recognised by the parts of its template that
// decide what a conversation without tools looks like. Private to the chat template.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/inference/chat_template.h"
#include "kernels/base/result.h"

namespace bitloom {

struct ChatContext {
  std::span<const ChatMessage> messages;  // at least one
  bool addGenerationPrompt = false;
  std::string_view bos, eos;
  std::string_view system;  // default system message, where the template brings one
  std::string_view date;    // "26 Jul 2024"
};

struct ChatFamily {
  std::string_view name;
  // In this order in the condensed template; the first begins it, the last ends it.
  std::vector<std::string_view> fragments;
  int systemAfter = -1;  // the default system message lies behind this fragment; −1: there is none
  Result<std::string> (*render)(const ChatContext& context);
};

std::span<const ChatFamily> chatFamilies();
const ChatFamily& plainChatMl();

// A Jinja template in one spelling: comments, whitespace outside of literals and whitespace control
// left out, literals in single quotes with line ends as \n, adjacent literals joined, attributes in
// brackets.
std::string condenseTemplate(std::string_view source);

// Whether the condensed template is of the family; the value is its default system message.
std::optional<std::string> matchFamily(const ChatFamily& family, std::string_view condensed);

}  // namespace bitloom

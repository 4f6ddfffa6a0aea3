// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/chat_families.h"

#include <utf8proc.h>

#include "core/base/strings.h"

namespace bitloom {
namespace {

// --- what Python's strings do ----------------------------------------------------------------

bool isPythonSpace(utf8proc_int32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

// Without the white space of Unicode at both ends.
std::string_view trim(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t character = -1;
    const auto step = utf8proc_iterate(bytes + at, utf8proc_ssize_t(text.size() - at), &character);
    const size_t length = step > 0 ? size_t(step) : 1;
    if (step <= 0 || !isPythonSpace(character)) {
      begin = std::min(begin, at);
      end = at + length;
    }
    at += length;
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

std::string_view withoutLeading(std::string_view text, char c) {
  while (text.starts_with(c)) text.remove_prefix(1);
  return text;
}

std::string_view withoutTrailing(std::string_view text, char c) {
  while (text.ends_with(c)) text.remove_suffix(1);
  return text;
}

std::string_view behindLast(std::string_view text, std::string_view mark) {
  const size_t at = text.rfind(mark);
  return at == std::string_view::npos ? text : text.substr(at + mark.size());
}

std::string_view beforeFirst(std::string_view text, std::string_view mark) {
  return text.substr(0, std::min(text.find(mark), text.size()));
}

// --- ChatML and those who speak it -----------------------------------------------------------

constexpr std::string_view kAssistantTurn = "<|im_start|>assistant\n";

std::string chatMlTurn(std::string_view role, std::string_view content) {
  return strCat("<|im_start|>", role, "\n", content, "<|im_end|>\n");
}

Result<std::string> renderChatMl(const ChatContext& context) {
  std::string text;
  for (const ChatMessage& message : context.messages) {
    text += chatMlTurn(message.role, message.content);
  }
  if (context.addGenerationPrompt) text += kAssistantTurn;
  return text;
}

// SmolLM2 and Qwen 2.5: a default system message where the conversation has none.
Result<std::string> renderChatMlWithSystem(const ChatContext& context) {
  TRY(std::string text, renderChatMl(context));
  if (context.messages.front().role == "system") return text;
  return chatMlTurn("system", context.system) + text;
}

size_t lastQuestion(std::span<const ChatMessage> messages) {
  for (size_t i = messages.size(); i-- > 0;) {
    const std::string& content = messages[i].content;
    const bool isToolAnswer =
        content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
    if (messages[i].role == "user" && !isToolAnswer) return i;
  }
  return messages.size() - 1;
}

// Qwen 3 forgets the thoughts of earlier answers and shows those after the last question.
Result<std::string> renderQwen3(const ChatContext& context) {
  const size_t question = lastQuestion(context.messages);
  std::string text;
  for (size_t i = 0; i < context.messages.size(); ++i) {
    const ChatMessage& message = context.messages[i];
    if (message.role != "assistant") {
      text += chatMlTurn(message.role, message.content);
      continue;
    }
    std::string_view content = message.content;
    std::string_view thought;
    if (content.find("</think>") != std::string_view::npos) {
      thought = withoutTrailing(beforeFirst(content, "</think>"), '\n');
      thought = withoutLeading(behindLast(thought, "<think>"), '\n');
      content = withoutLeading(behindLast(content, "</think>"), '\n');
    }
    const bool isLast = i + 1 == context.messages.size();
    if (i > question && (isLast || !thought.empty())) {
      const std::string_view shown = withoutTrailing(thought, '\n');
      text += chatMlTurn(
          "assistant", strCat("<think>\n", shown, "\n</think>\n\n", withoutLeading(content, '\n')));
    } else {
      text += chatMlTurn("assistant", content);
    }
  }
  if (context.addGenerationPrompt) text += kAssistantTurn;
  return text;
}

// --- Llama 2, 3, 3.2 -------------------------------------------------------------------------

constexpr std::string_view kMustAlternate =
    "Conversation roles must alternate user/assistant/user/assistant/...";

std::string llama3Turn(std::string_view role, std::string_view content) {
  return strCat("<|start_header_id|>", role, "<|end_header_id|>\n\n", content, "<|eot_id|>");
}

Result<std::string> renderLlama3(const ChatContext& context) {
  std::string text(context.bos);
  for (const ChatMessage& message : context.messages) {
    text += llama3Turn(message.role, trim(message.content));
  }
  if (context.addGenerationPrompt) text += "<|start_header_id|>assistant<|end_header_id|>\n\n";
  return text;
}

Result<std::string> renderLlama32(const ChatContext& context) {
  std::span<const ChatMessage> messages = context.messages;
  std::string_view system;
  if (messages.front().role == "system") {
    system = trim(messages.front().content);
    messages = messages.subspan(1);
  }
  ChatContext rest = context;
  rest.messages = messages;
  rest.bos = {};
  TRY(std::string turns, renderLlama3(rest));
  return strCat(context.bos,
                llama3Turn("system", strCat("Cutting Knowledge Date: December 2023\nToday Date: ",
                                            context.date, "\n\n", system)),
                turns);
}

Result<std::string> renderLlama2(const ChatContext& context) {
  std::span<const ChatMessage> messages = context.messages;
  std::optional<std::string_view> system;
  if (messages.front().role == "system") {
    system = messages.front().content;
    messages = messages.subspan(1);
  } else if (messages.front().content.find("<<SYS>>") == std::string::npos) {
    system = context.system;
  }
  std::string text(context.bos);
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    if ((message.role == "user") != (i % 2 == 0)) {
      return makeError(ErrorCode::InvalidArgument, kMustAlternate);
    }
    std::string content = message.content;
    if (i == 0 && system) content = strCat("<<SYS>>\n", *system, "\n<</SYS>>\n\n", content);
    if (message.role == "user") {
      text += strCat("[INST] ", trim(content), " [/INST]");
    } else if (message.role == "system") {
      text += strCat("<<SYS>>\n", trim(content), "\n<</SYS>>\n\n");
    } else if (message.role == "assistant") {
      text += strCat(" ", trim(content), " ", context.eos);
    }
  }
  return text;
}

// --- Mistral: v3 has spaces behind its marks, Nemo (tekken) has none --------------------------

Result<std::string> renderMistral(const ChatContext& context, bool spaces) {
  std::span<const ChatMessage> messages = context.messages;
  std::optional<std::string_view> system;
  if (messages.front().role == "system") {
    system = messages.front().content;
    messages = messages.subspan(1);
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    if ((messages[i].role == "user") != (i % 2 == 0)) {
      return makeError(ErrorCode::InvalidArgument,
                       "After the optional system message, conversation roles must alternate "
                       "user/assistant/user/assistant/...");
    }
  }
  std::string text(context.bos);
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    const std::string_view content = message.content;
    if (message.role == "user") {
      text += spaces ? "[INST] " : "[INST]";
      if (system && i + 1 == messages.size()) text += strCat(*system, "\n\n");
      text += strCat(content, "[/INST]");
    } else if (message.role == "assistant") {
      text += spaces ? strCat(" ", trim(content), context.eos) : strCat(content, context.eos);
    } else {
      return makeError(ErrorCode::InvalidArgument,
                       "Only user and assistant roles are supported, with the exception of an "
                       "initial optional system message!");
    }
  }
  return text;
}

Result<std::string> renderMistralV3(const ChatContext& context) {
  return renderMistral(context, true);
}
Result<std::string> renderMistralNemo(const ChatContext& context) {
  return renderMistral(context, false);
}

// --- others ----------------------------------------------------------------------------------

Result<std::string> renderGemma2(const ChatContext& context) {
  if (context.messages.front().role == "system") {
    return makeError(ErrorCode::InvalidArgument, "System role not supported");
  }
  std::string text(context.bos);
  for (size_t i = 0; i < context.messages.size(); ++i) {
    const ChatMessage& message = context.messages[i];
    if ((message.role == "user") != (i % 2 == 0)) {
      return makeError(ErrorCode::InvalidArgument, kMustAlternate);
    }
    text += strCat("<start_of_turn>", message.role == "assistant" ? "model" : message.role, "\n",
                   trim(message.content), "<end_of_turn>\n");
  }
  if (context.addGenerationPrompt) text += "<start_of_turn>model\n";
  return text;
}

Result<std::string> renderPhi35(const ChatContext& context) {
  std::string text;
  for (const ChatMessage& message : context.messages) {
    const bool isShown = message.role == "user" || message.role == "assistant" ||
                         (message.role == "system" && !message.content.empty());
    if (isShown) text += strCat("<|", message.role, "|>\n", message.content, "<|end|>\n");
  }
  text += context.addGenerationPrompt ? "<|assistant|>\n" : context.eos;
  return text;
}

// The bars and the joints of DeepSeek's marks are U+FF5C and U+2581.
Result<std::string> renderDeepseekR1(const ChatContext& context) {
  std::string system, turns;
  for (const ChatMessage& message : context.messages) {
    if (message.role == "system") {
      system = message.content;
    } else if (message.role == "user") {
      turns += "<｜User｜>" + message.content;
    } else {
      turns += strCat("<｜Assistant｜>", behindLast(message.content, "</think>"),
                      "<｜end▁of▁sentence｜>");
    }
  }
  if (context.addGenerationPrompt) turns += "<｜Assistant｜><think>\n";
  return strCat(context.bos, system, turns);
}

// --- how they are recognised ------------------------------------------------------------------

#define CHATML_TURN R"({{'<|im_start|>'+message['role']+'\n'+message['content']+'<|im_end|>\n'}})"
#define CHATML_PROMPT R"({%ifadd_generation_prompt%}{{'<|im_start|>assistant\n'}})"
#define CHATML_GIVEN_SYSTEM                        \
  R"({%else%}{%ifmessages[0]['role']=='system'%})" \
  R"({{'<|im_start|>system\n'+messages[0]['content']+'<|im_end|>\n'}})"
#define LLAMA3_TURN                                                              \
  R"('<|start_header_id|>'+message['role']+'<|end_header_id|>\n\n'+message['co)" \
  R"(ntent']|trim+'<|eot_id|>')"
#define LLAMA3_PROMPT \
  R"({%ifadd_generation_prompt%}{{'<|start_header_id|>assistant<|end_header_id|>\n\n'}}{%endif%})"
#define ALTERNATES R"({%if(message['role']=='user')!=(loop.index0%2==0)%})"
#define ALTERNATE_ERROR \
  R"({{raise_exception('Conversation roles must alternate user/assistant/user/assistant/...')}})"
#define MISTRAL_BEGIN \
  R"({%ifmessages[0]['role']=='system'%}{%setsystem_message=messages[0]['content']%})"
#define MISTRAL_CHECK \
  R"({%if(message['role']=='user')!=(ns.index%2==0)%}{{raise_exception('After the optional)"

std::vector<std::string_view> mistralFragments(std::string_view lastUser, std::string_view user,
                                               std::string_view answer) {
  return {MISTRAL_BEGIN,
          MISTRAL_CHECK,
          "{{bos_token}}{%formessageinloop_messages%}",
          "{%ifloop.lastandsystem_messageisdefined%}",
          lastUser,
          user,
          answer,
          R"({{raise_exception('Only user and assistant roles are supported)",
          "{%endif%}{%endfor%}"};
}

std::vector<ChatFamily> makeFamilies() {
  return {
      plainChatMl(),
      {"smollm2",
       {R"({%formessageinmessages%}{%ifloop.firstandmessages[0]['role']!='system'%})"
        R"({{'<|im_start|>system\n)",
        R"(<|im_end|>\n'}}{%endif%})" CHATML_TURN "{%endfor%}" CHATML_PROMPT "{%endif%}"},
       0,
       renderChatMlWithSystem},
      {"qwen2.5",
       {"{%iftools%}", CHATML_GIVEN_SYSTEM R"({%else%}{{'<|im_start|>system\n)",
        R"(<|im_end|>\n'}}{%endif%}{%endif%}{%formessageinmessages%})"
        R"({%if(message['role']=='user')or)"
        R"((message['role']=='system'andnotloop.first)or)"
        R"((message['role']=='assistant'andnotmessage.tool_calls)%})" CHATML_TURN,
        CHATML_PROMPT "{%endif%}"},
       1,
       renderChatMlWithSystem},
      {"qwen3",
       {"{%iftools%}",
        CHATML_GIVEN_SYSTEM "{%endif%}{%endif%}{%setns=namespace(multi_step_tool=true",
        "startswith('<tool_response>')andmessage['content'].endswith('</tool_response>'))%}",
        R"({%if(message['role']=='user')or(message['role']=='system'andnotloop.first)%})" CHATML_TURN,
        R"(.split('</think>')[-1].lstrip('\n'))",
        R"(.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n'))",
        "{%ifloop.index0>ns.last_query_index%}{%ifloop.lastor(notloop.lastandreasoning_content)%}",
        R"(\n<think>\n'+reasoning_content.strip('\n')+'\n</think>\n\n'+content.lstrip('\n')}})",
        CHATML_PROMPT "{%ifenable_thinkingisdefinedandenable_thinkingisfalse%}",
        "{%endif%}{%endif%}"},
       -1,
       renderQwen3},
      {"llama-3.2",
       {"{{bos_token}}", "{%setdate_string=strftime_now('%d %b %Y')%}",
        "{%setsystem_message=messages[0]['content']|trim%}",
        R"({{'<|start_header_id|>system<|end_header_id|>\n\n'}})",
        R"({{'Cutting Knowledge Date: December 2023\n'}}{{'Today Date: '+date_string+'\n\n'}})",
        "{{system_message}}{{'<|eot_id|>'}}", "{{" LLAMA3_TURN "}}", LLAMA3_PROMPT},
       -1,
       renderLlama32},
      {"llama-3",
       {"{%setloop_messages=messages%}{%formessageinloop_messages%}{%setcontent=" LLAMA3_TURN
        "%}{%ifloop.index0==0%}{%setcontent=bos_token+content%}{%endif%}{{content}}"
        "{%endfor%}" LLAMA3_PROMPT},
       -1,
       renderLlama3},
      {"llama-2",
       {"{{bos_token}}{%ifmessages[0]['role']=='system'%}",
        "{%eliftrue==trueandnot'<<SYS>>'inmessages[0]['content']%}", "{%setsystem_message='",
        "'%}{%else%}", ALTERNATES ALTERNATE_ERROR,
        R"('<<SYS>>\n'+system_message+'\n<</SYS>>\n\n'+message['content'])",
        "{{'[INST] '+content.strip()+' [/INST]'}}",
        "{{' '+content.strip()+' '+eos_token}}{%endif%}{%endfor%}"},
       2,
       renderLlama2},
      {"mistral-v3",
       mistralFragments(R"({{'[INST] '+system_message+'\n\n'+message['content']+'[/INST]'}})",
                        "{{'[INST] '+message['content']+'[/INST]'}}",
                        "{{' '+message['content']|trim+eos_token}}"),
       -1, renderMistralV3},
      {"mistral-nemo",
       mistralFragments(R"({{'[INST]'+system_message+'\n\n'+message['content']+'[/INST]'}})",
                        "{{'[INST]'+message['content']+'[/INST]'}}",
                        "{{message['content']+eos_token}}"),
       -1, renderMistralNemo},
      {"gemma-2",
       {"{{bos_token}}{%ifmessages[0]['role']=='system'%}"
        "{{raise_exception('System role not supported')}}{%endif%}"
        "{%formessageinmessages%}" ALTERNATES ALTERNATE_ERROR,
        "{%setrole='model'%}{%else%}{%setrole=message['role']%}{%endif%}",
        R"({{'<start_of_turn>'+role+'\n'+message['content']|trim+'<end_of_turn>\n'}})"
        R"({%endfor%}{%ifadd_generation_prompt%}{{'<start_of_turn>model\n'}}{%endif%})"},
       -1,
       renderGemma2},
      {"phi-3.5",
       {R"({%formessageinmessages%}{%ifmessage['role']=='system'andmessage['content']%})"
        R"({{'<|system|>\n'+message['content']+'<|end|>\n'}})",
        R"({{'<|user|>\n'+message['content']+'<|end|>\n'}})",
        R"({{'<|assistant|>\n'+message['content']+'<|end|>\n'}}{%endif%}{%endfor%})"
        R"({%ifadd_generation_prompt%}{{'<|assistant|>\n'}}{%else%}{{eos_token}}{%endif%})"},
       -1,
       renderPhi35},
      {"deepseek-r1",
       {"{%setns=namespace(", "{{bos_token}}{{ns.system_prompt}}",
        "{{'<｜User｜>'+message['content']}}",
        "{%setcontent=content.split('</think>')[-1]%}{%endif%}"
        "{{'<｜Assistant｜>'+content+'<｜end▁of▁sentence｜>'}}",
        R"({%ifadd_generation_promptandnotns.is_tool%}{{'<｜Assistant｜><think>\n'}}{%endif%})"},
       -1,
       renderDeepseekR1},
  };
}

}  // namespace

const ChatFamily& plainChatMl() {
  static const ChatFamily family = {
      "chatml",
      {"{%formessageinmessages%}" CHATML_TURN "{%endfor%}" CHATML_PROMPT "{%endif%}"},
      -1,
      renderChatMl};
  return family;
}

std::span<const ChatFamily> chatFamilies() {
  static const std::vector<ChatFamily> families = makeFamilies();
  return families;
}

}  // namespace bitloom

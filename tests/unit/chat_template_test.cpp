// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/chat_template.h"

#include <gtest/gtest.h>

#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/gguf_metadata.h"
#include "tests/support/paths.h"

namespace bitloom {
namespace {

using nlohmann::json;
using test::readFile;
using test::sharedPath;

const std::map<std::string, std::string> kFamilyOfFile = {
    {"smollm2-chatml", "smollm2"},
    {"qwen2.5", "qwen2.5"},
    {"qwen3", "qwen3"},
    {"llama-3.2", "llama-3.2"},
    {"llama-2", "llama-2"},
    {"gemma-2", "gemma-2"},
    {"phi-3.5", "phi-3.5"},
    {"mistral-v3", "mistral-v3"},
    {"deepseek-r1-distill", "deepseek-r1"},
    {"mistral-nemo-v3-tekken", "mistral-nemo"},
};

Metadata withTemplate(const std::string& source, const std::string& bos = "<s>",
                      const std::string& eos = "</s>") {
  Metadata metadata;
  metadata.set("tokenizer.ggml.tokens", MetaValue::stringArray({bos, eos}));
  metadata.set("tokenizer.ggml.bos_token_id", MetaValue::u32(0));
  metadata.set("tokenizer.ggml.eos_token_id", MetaValue::u32(1));
  metadata.set("tokenizer.chat_template", MetaValue::string(source));
  return metadata;
}

json golden(const std::string& name) {
  return json::parse(readFile(sharedPath("golden/templates/" + name + ".json")));
}

std::vector<ChatMessage> messagesOf(const json& conversation) {
  std::vector<ChatMessage> messages;
  for (const json& message : conversation) {
    messages.push_back({message["role"], message["content"]});
  }
  return messages;
}

TEST(ChatTemplate, EveryGoldenRenderingIsReproducedExactly) {
  NEEDS_SHARED("golden/templates/conversations.json");
  const json conversations = golden("conversations");
  for (const auto& [file, family] : kFamilyOfFile) {
    const json reference = golden(file);
    const ChatTemplate chat = ChatTemplate::detect(
        withTemplate(reference["template"], reference["bos_token"], reference["eos_token"]));
    ASSERT_EQ(chat.family(), family);
    EXPECT_EQ(chat.source(), "template of the model (" + family + ")");
    ASSERT_EQ(reference["cases"].size(), 12u);
    for (const json& entry : reference["cases"]) {
      const auto messages = messagesOf(conversations[entry["conversation"].get<std::string>()]);
      const auto text = chat.render(messages, entry["add_generation_prompt"], "26 Jul 2024");
      ASSERT_EQ(bool(text), entry.contains("output")) << file << entry["conversation"];
      if (text) {
        EXPECT_EQ(*text, entry["output"]) << file;
      } else {
        EXPECT_EQ(text.error().message, entry["error"]) << file;
      }
    }
  }
}

TEST(ChatTemplate, TheModelsOnDiskAreRecognised) {
  NEEDS_SHARED("models/bitloom-story-11m-f16.gguf");
  NEEDS_SHARED("models/SmolLM2-135M-Instruct.Q4_1.gguf");
  const std::vector<ChatMessage> hello = {{"user", "Hello"}};
  const auto story =
      ChatTemplate::detect(test::GgufKeys::read(sharedPath("models/bitloom-story-11m-f16.gguf")));
  EXPECT_EQ(story.source(), "template of the model (chatml)");
  EXPECT_EQ(*story.render(hello, true),
            "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(*story.render(hello, false), "<|im_start|>user\nHello<|im_end|>\n");
  const auto smol = ChatTemplate::detect(
      test::GgufKeys::read(sharedPath("models/SmolLM2-135M-Instruct.Q4_1.gguf")));
  EXPECT_EQ(smol.family(), "smollm2");
}

TEST(ChatTemplate, WithoutATemplateChatMlIsUsedAndSaysSo) {
  const ChatTemplate chat = ChatTemplate::detect({});
  EXPECT_EQ(chat.family(), "chatml");
  EXPECT_EQ(chat.source(), "ChatML, since the model names none");
  const std::vector<ChatMessage> hello = {{"system", "Be brief."}, {"user", "Hello"}};
  EXPECT_EQ(*chat.render(hello, true),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
            "<|im_start|>assistant\n");
}

// One changed word anywhere that matters, and the template is no longer claimed.
TEST(ChatTemplate, ATemplateThatDiffersIsNotClaimed) {
  NEEDS_SHARED("golden/templates/conversations.json");
  const std::map<std::string, std::pair<std::string, std::string>> changes = {
      {"smollm2-chatml", {"loop.first", "loop.last"}},
      {"qwen2.5", {"assistant\\n' }}", "assistant\\n<think>' }}"}},
      {"qwen3", {"loop.index0 > ns", "loop.index0 >= ns"}},
      {"llama-3.2", {"December 2023", "December 2024"}},
      {"llama-2", {"' [/INST]'", "' [/INST] '"}},
      {"gemma-2", {"| trim", ""}},
      {"phi-3.5", {"<|assistant|>", "<|model|>"}},
      {"mistral-v3", {"\"content\"]|trim", "\"content\"]"}},
      {"mistral-nemo-v3-tekken", {"loop.last and system", "loop.first and system"}},
      {"deepseek-r1-distill", {"<think>\\n", "<think>"}},
  };
  for (const auto& [file, change] : changes) {
    std::string source = golden(file)["template"];
    const size_t at = source.find(change.first);
    ASSERT_NE(at, std::string::npos) << file;
    source.replace(at, change.first.size(), change.second);
    const ChatTemplate chat = ChatTemplate::detect(withTemplate(source));
    EXPECT_EQ(chat.family(), "chatml") << file;
    EXPECT_EQ(chat.source(), "ChatML, since the model's own template is not one that Bitloom knows")
        << file;
  }
}

// The text was rendered by Jinja2 from the same template.
TEST(ChatTemplate, Llama3PutsBosInFrontAndTrims) {
  const ChatTemplate chat = ChatTemplate::detect(withTemplate(
      "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
      "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | "
      "trim "
      "+ '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
      "{{ content }}{% endfor %}{% if add_generation_prompt %}"
      "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
      "<B>"));
  ASSERT_EQ(chat.family(), "llama-3");
  const std::vector<ChatMessage> messages = {{"system", " S "}, {"user", " a "}};
  EXPECT_EQ(*chat.render(messages, true),
            "<B><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user"
            "<|end_header_id|>\n\na<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST(ChatTemplate, SpellingOfATemplateDoesNotMatter) {
  const ChatTemplate chat = ChatTemplate::detect(withTemplate(
      "{# a note #}{%- for message in messages -%}\n"
      "  {{- \"<|im_start|>\" + message.role + \"\\n\" + message.content + \"<|im_end|>\\n\" -}}\n"
      "{%- endfor -%}\n"
      "{%- if add_generation_prompt -%} {{- '<|im_start|>assistant\n' -}} {%- endif -%}"));
  EXPECT_EQ(chat.source(), "template of the model (chatml)");
}

TEST(ChatTemplate, BrokenTemplatesAreNotClaimedAndDoNoHarm) {
  for (const char* source : {"", "{", "{{", "{%", "{#", "{{'", "{{ 'a\\", "}}", "{{-", "{%-"}) {
    EXPECT_EQ(ChatTemplate::detect(withTemplate(source)).family(), "chatml");
  }
}

TEST(ChatTemplate, AnEmptyConversationOrAnUnknownRoleIsRefused) {
  const ChatTemplate chat = ChatTemplate::detect({});
  EXPECT_EQ(chat.render({}, true).error().message, "The conversation has no messages.");
  const std::vector<ChatMessage> tool = {{"tool", "42"}};
  EXPECT_EQ(chat.render(tool, true).error().message,
            "The role \"tool\" is none of system, user and assistant.");
}

TEST(ChatTemplate, Llama32TellsTodaysDate) {
  NEEDS_SHARED("golden/templates/llama-3.2.json");
  const ChatTemplate chat = ChatTemplate::detect(withTemplate(golden("llama-3.2")["template"]));
  const std::vector<ChatMessage> hello = {{"user", "Hello"}};
  const std::string text = *chat.render(hello, true);
  const std::time_t now = std::time(nullptr);
  const std::string year = std::to_string(1900 + std::localtime(&now)->tm_year);
  const size_t at = text.find("Today Date: ");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(text.substr(at + 19, 4), year);
  EXPECT_EQ(text.substr(at + 23, 2), "\n\n");
}

}  // namespace
}  // namespace bitloom

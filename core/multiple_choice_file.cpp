// SPDX-License-Identifier: GPL-3.0-or-later
// JSON lines of the well-known tasks as items. The prompts are those of lm-evaluation-harness.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/strings.h"
#include "core/builtin.h"
#include "core/multiple_choice.h"

namespace bitloom {
namespace {

using Json = nlohmann::json;

constexpr size_t kShownBytes = 60;  // of a value that an error quotes

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = validUtf8(text.substr(0, kShownBytes)) + "…";
  return text;
}

Result<std::string> textAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return makeError(ErrorCode::Corrupt, "has no \"", key, "\"");
  if (!found->is_string()) {
    return makeError(ErrorCode::Corrupt, "\"", key, "\" is ", shown(*found), ", not a text");
  }
  return found->get<std::string>();
}

Result<std::vector<std::string>> textsAt(const Json& list, const char* key) {
  if (!list.is_array()) {
    return makeError(ErrorCode::Corrupt, "\"", key, "\" is ", shown(list), ", not a list");
  }
  std::vector<std::string> texts;
  for (const Json& entry : list) {
    if (!entry.is_string()) {
      return makeError(ErrorCode::Corrupt, "\"", key, "\" holds ", shown(entry), ", not a text");
    }
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

// A whole number, or the digits of one; `first` is what the first choice is called.
Result<uint32_t> indexAt(const Json& object, const char* key, uint32_t first = 0) {
  const auto found = object.find(key);
  if (found == object.end()) return makeError(ErrorCode::Corrupt, "has no \"", key, "\"");
  double value = -1;
  if (found->is_number()) value = found->get<double>();
  if (found->is_string()) {
    const auto& digits = found->get_ref<const std::string&>();
    const bool number =
        !digits.empty() && digits.size() < 6 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number) value = std::stod(digits);
  }
  if (!(value >= first && value < 1e6) || value != std::floor(value)) {
    return makeError(ErrorCode::Corrupt, "\"", key, "\" is ", shown(*found),
                     ", not the number of a choice");
  }
  return uint32_t(value) - first;
}

ChoiceItem makeItem(const std::string& context, const std::vector<std::string>& choices,
                    uint32_t answer) {
  ChoiceItem item;
  for (const std::string& choice : choices) {
    const auto characters = uint32_t(
        std::count_if(choice.begin(), choice.end(), [](char c) { return (c & 0xC0) != 0x80; }));
    item.alternatives.push_back({context, " " + choice, characters});
  }
  item.answer = answer;
  return item;
}

// Index of the choice whose label is the key's.
Result<uint32_t> labelled(const std::vector<std::string>& labels, const Json& object) {
  TRY(const std::string key, textAt(object, "answerKey"));
  const auto found = std::find(labels.begin(), labels.end(), key);
  if (found == labels.end()) {
    return makeError(ErrorCode::Corrupt, "\"answerKey\" is \"", validUtf8(key),
                     "\", which labels no choice");
  }
  return uint32_t(found - labels.begin());
}

std::string asQuestion(const std::string& question) {
  return "Question: " + question + "\nAnswer:";
}

// `choices` as a list of texts with `answer`, or as {text, label} with `answerKey`.
Result<ChoiceItem> withChoices(const std::string& context, const Json& object) {
  const auto found = object.find("choices");
  if (found == object.end()) return makeError(ErrorCode::Corrupt, "has no \"choices\"");
  if (found->is_object() && found->contains("text") && found->contains("label")) {
    TRY(const auto texts, textsAt((*found)["text"], "choices.text"));
    TRY(const auto labels, textsAt((*found)["label"], "choices.label"));
    TRY(const uint32_t answer, labelled(labels, object));
    return makeItem(context, texts, answer);
  }
  TRY(const auto texts, textsAt(*found, "choices"));
  TRY(const uint32_t answer, indexAt(object, "answer"));
  return makeItem(context, texts, answer);
}

Result<ChoiceItem> plain(const Json& object) {
  TRY(const std::string context, textAt(object, "context"));
  return withChoices(context, object);
}

Result<ChoiceItem> question(const Json& object) {
  if (!object["question"].is_object()) {
    TRY(const std::string text, textAt(object, "question"));
    return withChoices(asQuestion(text), object);
  }
  const Json& inner = object["question"];
  TRY(const std::string stem, textAt(inner, "stem"));
  if (!inner.contains("choices") || !inner["choices"].is_array()) {
    return makeError(ErrorCode::Corrupt, "\"question\" has no list of \"choices\"");
  }
  std::vector<std::string> texts, labels;
  for (const Json& choice : inner["choices"]) {
    if (!choice.is_object()) {
      return makeError(ErrorCode::Corrupt, "\"choices\" holds ", shown(choice), ", not an object");
    }
    TRY(auto text, textAt(choice, "text"));
    TRY(auto label, textAt(choice, "label"));
    texts.push_back(std::move(text));
    labels.push_back(std::move(label));
  }
  TRY(const uint32_t answer, labelled(labels, object));
  return makeItem(asQuestion(stem), texts, answer);
}

Result<ChoiceItem> openBookQa(const Json& object) {
  TRY(const std::string stem, textAt(object, "question_stem"));
  return withChoices(stem, object);
}

Result<ChoiceItem> piqa(const Json& object) {
  TRY(const std::string goal, textAt(object, "goal"));
  TRY(const std::string first, textAt(object, "sol1"));
  TRY(const std::string second, textAt(object, "sol2"));
  TRY(const uint32_t answer, indexAt(object, "label"));
  return makeItem(asQuestion(goal), {first, second}, answer);
}

void replaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// WikiHow's marks out of the text.
std::string withoutMarks(std::string text) {
  text = trimmed(text);
  replaceAll(text, " [title]", ". ");
  for (size_t open = 0; (open = text.find('[', open)) != std::string::npos;) {
    const size_t close = text.find(']', open);
    if (close == std::string::npos) break;
    text.erase(open, close - open + 1);
  }
  replaceAll(text, "  ", " ");
  return text;
}

Result<ChoiceItem> hellaSwag(const Json& object) {
  TRY(const std::string activity, textAt(object, "activity_label"));
  TRY(const std::string first, textAt(object, "ctx_a"));
  TRY(std::string second, textAt(object, "ctx_b"));
  TRY(auto endings, textsAt(object["endings"], "endings"));
  TRY(const uint32_t answer, indexAt(object, "label"));
  second = toLower(second);  // first letter large, the rest small
  if (!second.empty() && second[0] >= 'a' && second[0] <= 'z') second[0] = char(second[0] - 32);
  for (std::string& ending : endings) ending = withoutMarks(ending);
  return makeItem(withoutMarks(activity + ": " + first + " " + second), endings, answer);
}

// The option varies the context; what follows it is scored.
Result<ChoiceItem> winoGrande(const Json& object) {
  TRY(const std::string sentence, textAt(object, "sentence"));
  TRY(const uint32_t answer, indexAt(object, "answer", 1));
  const size_t blank = sentence.find('_');
  if (blank == std::string::npos) {
    return makeError(ErrorCode::Corrupt, "\"sentence\" has no _ to fill in");
  }
  const std::string rest = trimmed(sentence.substr(blank + 1));
  ChoiceItem item = makeItem({}, {rest, rest}, answer);
  const char* const options[] = {"option1", "option2"};
  for (size_t i = 0; i < 2; ++i) {
    TRY(const std::string option, textAt(object, options[i]));
    item.alternatives[i].context = sentence.substr(0, blank) + option;
  }
  return item;
}

Result<ChoiceItem> boolQ(const Json& object) {
  TRY(const std::string passage, textAt(object, "passage"));
  TRY(const std::string text, textAt(object, "question"));
  const auto answer = object.find("answer");
  if (answer == object.end() || !answer->is_boolean()) {
    return makeError(ErrorCode::Corrupt, "\"answer\" is ",
                     answer == object.end() ? "missing" : shown(*answer), ", not true or false");
  }
  return makeItem(passage + "\nQuestion: " + text + "?\nAnswer:", {"no", "yes"},
                  answer->get<bool>() ? 1 : 0);
}

struct Form {
  const char* keys[2];  // both are there
  Result<ChoiceItem> (*read)(const Json& object);
};
constexpr Form kForms[] = {
    {{"context", "context"}, plain},      {{"goal", "sol1"}, piqa},
    {{"ctx_a", "endings"}, hellaSwag},    {{"sentence", "option1"}, winoGrande},
    {{"passage", "question"}, boolQ},     {{"question_stem", "choices"}, openBookQa},
    {{"question", "question"}, question},
};

Result<ChoiceItem> readItem(std::string_view line) {
  const Json object = Json::parse(line, nullptr, false);
  if (!object.is_object()) {
    return makeError(ErrorCode::Corrupt, "is no JSON object; the file may be cut off");
  }
  for (const Form& form : kForms) {
    if (!object.contains(form.keys[0]) || !object.contains(form.keys[1])) continue;
    TRY(auto item, form.read(object));
    if (item.alternatives.size() < 2) {
      return makeError(ErrorCode::Corrupt, "has ", item.alternatives.size(),
                       " choices, and a question takes two at least");
    }
    if (item.answer >= item.alternatives.size()) {
      return makeError(ErrorCode::Corrupt, "names answer ", item.answer, " (from 0) of ",
                       item.alternatives.size(), " choices");
    }
    for (const Alternative& alternative : item.alternatives) {
      if (alternative.characters == 0) return makeError(ErrorCode::Corrupt, "has an empty choice");
    }
    return item;
  }
  return makeError(ErrorCode::Corrupt,
                   "has the keys of no known task, such as \"context\", \"choices\", \"answer\"");
}

}  // namespace

Result<ChoiceTask> parseChoiceTask(std::string_view jsonLines, const std::string& name,
                                   uint32_t maxItems) {
  ChoiceTask task{.name = name, .items = {}};
  uint32_t number = 0;
  for (size_t at = 0; at < jsonLines.size() && (maxItems == 0 || task.items.size() < maxItems);) {
    const size_t end = std::min(jsonLines.find('\n', at), jsonLines.size());
    const std::string_view line = jsonLines.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto item = readItem(line);
    if (!item) {
      return makeError(item.error().code, name, " line ", number, ": ", item.error().message, ".");
    }
    item->line = number;
    task.items.push_back(std::move(*item));
  }
  if (task.items.empty()) return makeError(ErrorCode::Corrupt, name, ": holds no question.");
  return task;
}

Result<ChoiceTask> loadChoiceTask(const std::filesystem::path& path, uint32_t maxItems) {
  TRY(const std::string text, readText(path));
  return parseChoiceTask(text, path.filename().string(), maxItems);
}

}  // namespace bitloom

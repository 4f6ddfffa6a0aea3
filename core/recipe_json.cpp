// SPDX-License-Identifier: GPL-3.0-or-later
// Recipes as JSON. Fields have a fixed order and a rule is one line, so that recipes read well and
// compare well; what equals its default is left out. Version 1:
//
//   {"version": 1, "name": …, "profile": …, "rules": [{"pattern", "codec", "method", "options",
//    "why", "pinned"}, …]}
#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "core/base/strings.h"
#include "core/io/whole_file.h"
#include "core/recipe.h"

namespace bitloom {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

std::string line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json ruleJson(const Rule& rule) {
  Json json;
  json["pattern"] = rule.pattern;
  json["codec"] = rule.codec;
  if (rule.method != "nearest") json["method"] = rule.method;
  if (!rule.options.empty()) json["options"] = rule.options;
  if (!rule.why.empty()) json["why"] = rule.why;
  if (rule.pinned) json["pinned"] = true;
  return json;
}

template <typename... Parts>
Error wrong(std::string_view file, const Parts&... parts) {
  return makeError(ErrorCode::InvalidArgument, file, ": ", parts...);
}

// The first key that is not among `known`, or "".
std::string unknownKey(const Json& object, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) return key;
  }
  return {};
}

// Reads an optional string field; the error names the place.
Result<void> readText(const Json& object, const char* key, std::string_view place,
                      std::string& out) {
  const auto found = object.find(key);
  if (found == object.end()) return {};
  if (!found->is_string()) return wrong(place, "\"", key, "\" must be a text.");
  out = found->get<std::string>();
  return {};
}

Result<void> readOptions(const Json& object, std::string_view place,
                         std::map<std::string, std::string>& out) {
  const auto found = object.find("options");
  if (found == object.end()) return {};
  if (!found->is_object()) return wrong(place, "\"options\" must be an object of texts.");
  for (const auto& [key, value] : found->items()) {
    if (value.is_structured())
      return wrong(place, "option \"", key, "\" must be a text or a number.");
    out[key] = value.is_string() ? value.get<std::string>() : line(value);
  }
  return {};
}

Result<Rule> readRule(const Json& object, const std::string& place) {
  if (!object.is_object()) return wrong(place, "it must be an object with a pattern and a codec.");
  const std::string unknown =
      unknownKey(object, {"pattern", "codec", "method", "options", "why", "pinned"});
  if (!unknown.empty()) return wrong(place, "the key \"", unknown, "\" is not known.");
  Rule rule;
  TRY(readText(object, "pattern", place, rule.pattern));
  TRY(readText(object, "codec", place, rule.codec));
  TRY(readText(object, "method", place, rule.method));
  TRY(readText(object, "why", place, rule.why));
  TRY(readOptions(object, place, rule.options));
  if (const auto pinned = object.find("pinned"); pinned != object.end()) {
    if (!pinned->is_boolean()) return wrong(place, "\"pinned\" must be true or false.");
    rule.pinned = pinned->get<bool>();
  }
  if (rule.pattern.empty()) return wrong(place, "it has no \"pattern\".");
  if (rule.codec.empty()) return wrong(place, "it has no \"codec\".");
  if (!findCodec(rule.codec)) return wrong(place, "there is no codec named \"", rule.codec, "\".");
  if (!findMethod(rule.method)) {
    return wrong(place, "there is no method named \"", rule.method, "\".");
  }
  return rule;
}

Result<Recipe> readRecipe(const Json& json, std::string_view file) {
  if (!json.is_object()) return wrong(file, "a recipe must be a JSON object.");
  const std::string unknown = unknownKey(json, {"version", "name", "profile", "rules"});
  if (!unknown.empty()) return wrong(file, "the key \"", unknown, "\" is not known in a recipe.");
  if (const auto version = json.find("version"); version != json.end() && *version != kVersion) {
    return wrong(file, "recipe version ", line(*version),
                 " is not known; this program reads version ", kVersion, ".");
  }
  Recipe recipe;
  TRY(readText(json, "name", file, recipe.name));
  TRY(readText(json, "profile", file, recipe.profile));
  if (!findProfile(recipe.profile)) {
    return wrong(file, "there is no runtime profile named \"", recipe.profile, "\".");
  }
  const auto rules = json.find("rules");
  if (rules == json.end()) return wrong(file, "the recipe has no \"rules\".");
  if (!rules->is_array()) return wrong(file, "\"rules\" must be a list.");
  for (const Json& rule : *rules) {
    const std::string place = strCat(file, ": rule ", recipe.rules.size() + 1);
    TRY(Rule read, readRule(rule, place));
    recipe.rules.push_back(std::move(read));
  }
  return recipe;
}

}  // namespace

std::string toJson(const Recipe& recipe) {
  std::string text = strCat("{\n\"version\":", kVersion, ",\n\"name\":", line(Json(recipe.name)),
                            ",\n\"profile\":", line(Json(recipe.profile)), ",\n\"rules\":[");
  for (size_t i = 0; i < recipe.rules.size(); ++i) {
    text += strCat(i ? ",\n" : "\n", line(ruleJson(recipe.rules[i])));
  }
  return text + "\n]}\n";
}

Result<Recipe> parseRecipe(std::string_view json, std::string_view nameForErrors) {
  try {
    return readRecipe(Json::parse(json), nameForErrors);
  } catch (const Json::parse_error& error) {
    return wrong(nameForErrors, "this is not JSON: a fault near byte ", error.byte, ".");
  } catch (const Json::exception& error) {
    return wrong(nameForErrors, "this is not a recipe: ", error.what(), ".");
  }
}

Result<Recipe> loadRecipe(const std::filesystem::path& path) {
  TRY(const std::string text, readWholeFile(path));
  return parseRecipe(text, path.string());
}

Result<void> saveRecipe(const Recipe& recipe, const std::filesystem::path& path) {
  return writeWholeFile(path, toJson(recipe));
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// inspect, tokenize, list: what is there, without running a model.
#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/allocator.h"
#include "core/architecture.h"
#include "core/exporter.h"
#include "core/inference/chat_template.h"
#include "core/metric.h"

namespace bitloom::cli {
namespace {

Json shapeOf(const Tensor& tensor) {
  Json shape = Json::array();
  for (uint32_t d = 0; d < tensor.dimensions; ++d) shape.push_back(tensor.shape[d]);
  return shape;
}

Json inspectJson(const Model& model) {
  Json tensors = Json::array();
  for (const Tensor& tensor : model.tensors()) {
    tensors.push_back({{"name", tensor.name},
                       {"type", tensor.type},
                       {"shape", shapeOf(tensor)},
                       {"bytes", tensor.bytes.size()},
                       {"decodable", tensor.codec != nullptr}});
  }
  Json metadata = Json::object();
  for (const auto& entry : model.metadata().entries()) {
    metadata[validUtf8(entry.key)] = validUtf8(display(entry.value, 4096));
  }
  return {
      {"path", model.path().string()},
      {"name", model.name()},
      {"architecture", std::string(model.metadata().stringOf("general.architecture").value_or(""))},
      {"source", model.sourceLabel()},
      {"bytes", model.fileBytes()},
      {"weights", model.weights()},
      {"bpw", model.bitsPerWeight()},
      {"fingerprint", model.fingerprint()},
      {"chat_template", std::string(ChatTemplate::detect(model.metadata()).source())},
      {"warnings", std::vector<std::string>(model.warnings().begin(), model.warnings().end())},
      {"metadata", metadata},
      {"tensors", tensors}};
}

std::string inspectText(const Model& model) {
  std::string out = strCat(
      model.name(), "\n  file           ", model.path().string(), ", ", grouped(model.fileBytes()),
      " bytes (", decimalSize(model.fileBytes()), ", ", binarySize(model.fileBytes()), ")\n",
      "  architecture   ", model.metadata().stringOf("general.architecture").value_or("not named"),
      "\n  source         ", model.sourceLabel(), ", ", grouped(model.weights()), " weights, ",
      fixed(model.bitsPerWeight(), 3), " bits per weight\n  chat template  ",
      ChatTemplate::detect(model.metadata()).source(), "\n");
  for (const std::string& warning : model.warnings()) out += "  warning        " + warning + "\n";
  out += "\n";
  for (const auto& entry : model.metadata().entries()) {
    out += "  " + entry.key + " = " + display(entry.value) + "\n";
  }
  std::vector<std::vector<std::string>> rows = {{"tensor", "type", "shape", "bytes"}};
  for (const Tensor& tensor : model.tensors()) {
    std::string shape;
    for (uint32_t d = 0; d < tensor.dimensions; ++d) {
      shape += (d ? " × " : "") + std::to_string(tensor.shape[d]);
    }
    rows.push_back({tensor.name, tensor.type, shape, grouped(tensor.bytes.size())});
  }
  return validUtf8(out + "\n" + table(rows));
}

template <typename Items>
Json namesOf(const Items& items) {
  Json result = Json::array();
  for (const auto* item : items) {
    result.push_back({{"name", std::string(item->name)}, {"summary", std::string(item->summary)}});
  }
  return result;
}

// What each word of `list` shows.
Result<Json> shelf(const std::string& what) {
  if (what == "methods") return namesOf(methods());
  if (what == "metrics") return namesOf(metrics());
  if (what == "allocators") return namesOf(allocators());
  if (what == "exporters") return namesOf(exporters());
  if (what == "architectures") return namesOf(architectures());
  if (what != "codecs") return Json(Json::array());
  Json result = Json::array();
  for (const Codec* codec : codecs()) {
    result.push_back({{"name", std::string(codec->name)},
                      {"title", std::string(codec->title)},
                      {"bpw", codec->bits},
                      {"fallback", std::string(codec->fallback)},
                      {"summary", std::string(codec->summary)}});
  }
  return result;
}

}  // namespace

Verb addInspect(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("inspect", "Show a model's facts, metadata and tensors");
  auto model = std::make_shared<std::string>();
  verb->add_option("MODEL", *model, "GGUF file, or `builtin`")->required();
  return {verb, [&console, model]() -> Result<void> {
            TRY(auto opened, openModel(*model));
            if (console.json) {
              console.print(inspectJson(*opened), "");
            } else {
              console.print({}, inspectText(*opened));
            }
            return {};
          }};
}

Verb addTokenize(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("tokenize", "Turn text into token ids (needs no weights)");
  struct Arguments {
    std::string model, text, file;
    bool special = false;
  };
  auto args = std::make_shared<Arguments>();
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  auto* group = verb->add_option_group("input");
  group->add_option("--text", args->text, "The text itself");
  group->add_option("--file", args->file, "A text file");
  group->require_option(1);
  verb->add_flag("--special", args->special, "Parse control tokens in the text");
  return {verb, [&console, args]() -> Result<void> {
            TRY(auto model, openModel(args->model));
            auto tokenizer = Tokenizer::create(model->metadata());
            if (!tokenizer) {
              return makeError(tokenizer.error().code, model->path().filename().string(), ": ",
                               tokenizer.error().message);
            }
            for (const std::string& warning : tokenizer->warnings()) console.note(warning);
            std::string text = args->text;
            if (!args->file.empty()) {
              TRY(auto file, openText(args->file, BuiltinText::Evaluation));
              text = std::move(file.bytes);
            }
            const auto ids = tokenizer->encode(text, args->special);
            std::string line;
            for (TokenId id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
            console.print({{"ids", ids}}, line);
            return {};
          }};
}

Verb addList(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("list", "List what is on a shelf");
  auto what = std::make_shared<std::string>();
  verb->add_option("SHELF", *what, "codecs, methods, metrics, allocators, exporters, …")
      ->required()
      ->check(CLI::IsMember({"codecs", "methods", "metrics", "allocators", "transforms", "caches",
                             "recipes", "exporters", "architectures"}));
  return {verb, [&console, what]() -> Result<void> {
            TRY(auto items, shelf(*what));
            std::vector<std::vector<std::string>> rows;
            for (const Json& item : items) {
              std::vector<std::string> row = {item["name"]};
              if (item.contains("bpw")) row.push_back(fixed(item["bpw"], 4));
              row.push_back(item["summary"]);
              rows.push_back(row);
            }
            console.print({{*what, items}}, rows.empty() ? "None in this version." : table(rows));
            return {};
          }};
}

}  // namespace bitloom::cli

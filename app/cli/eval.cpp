// SPDX-License-Identifier: GPL-3.0-or-later
// eval, logits, chat: what a model, or a model through a recipe, does with text.
#include <fstream>
#include <iostream>
#include <map>
#include <optional>

#include "app/cli/proof.h"
#include "app/cli/tasks.h"
#include "app/cli/verbs.h"
#include "core/builtin.h"
#include "core/chat.h"

namespace bitloom::cli {
namespace {

struct EvalArguments {
  std::string model, recipe, codec, reference, against, calibrationText, tokenTable;
  std::vector<std::string> texts;  // "FILE" or "name=FILE"
  std::vector<std::string> tasks;  // JSONL files; then texts only when named
  uint32_t maxQuestions = 0;       // 0: all
  bool books = false;
  bool spread = false;
  EvaluateOptions options;
  std::optional<Precision> precision;  // whose price is asked for
};

// Names on the command line.
const std::map<std::string, Precision> kPrecisions = {
    {"exact", Precision::Exact}, {"measure", Precision::Measure}, {"chat", Precision::Chat}};
const std::map<std::string, KvFormat> kCaches = {
    {"f16", KvFormat::F16}, {"q8_0", KvFormat::Q8_0}, {"f32", KvFormat::F32}};

// What the model is held to: nothing, its own source, exact arithmetic, or another model.
struct Reference {
  Engine engine;
  std::optional<Variant> exact;
  const Variant* variant = nullptr;
};

Result<void> openReference(const EvalArguments& args, const Engine& engine, bool changed,
                           const Arithmetic& arithmetic, Variant& variant, Reference& reference) {
  // A recipe is held to its source, and so are two recipes.
  if (changed || findCodec(toLower(args.against)) || args.against.ends_with(".json")) {
    reference.variant = &*engine.variant;
  }
  if (args.precision) {
    reference.exact = variant.copy();
    reference.exact->setPrecision(Precision::Exact);
    reference.exact->setBackend(nullptr);
    variant.setPrecision(*args.precision);
    reference.variant = &*reference.exact;
  }
  if (!args.reference.empty()) {
    TRY(reference.engine, openEngine(args.reference, false, arithmetic));
    reference.variant = &*reference.engine.variant;
  }
  if (reference.variant && reference.variant->graph().vocabulary != variant.graph().vocabulary) {
    return makeError(ErrorCode::InvalidArgument, args.reference, ": has a vocabulary of ",
                     reference.variant->graph().vocabulary, " tokens, ", args.model, " has ",
                     variant.graph().vocabulary, "; they cannot be compared.");
  }
  return {};
}

Result<std::vector<std::string>> overlapsWith(const std::string& calibrationText,
                                              const std::vector<NamedText>& texts) {
  std::vector<std::string> sentences;
  if (calibrationText.empty()) return sentences;
  TRY(auto calibration, openText(calibrationText, BuiltinText::Calibration));
  for (const NamedText& text : texts) {
    sentences.push_back(
        overlapSentence(findOverlap(calibration.bytes, text.text), calibration.name, text.name));
  }
  return sentences;
}

std::string namesOf(const std::vector<NamedText>& texts) {
  std::string names;
  for (const NamedText& text : texts) names += (names.empty() ? "" : ", ") + text.name;
  return names;
}

// Fills the evaluations of `proof`, both in one pass.
Result<void> measure(Console& console, const Variant& variant, const Variant* rival,
                     const Variant* reference, const Windows& windows, Proof& proof) {
  std::vector<const Variant*> variants = {&variant};
  if (rival != nullptr) variants.push_back(rival);
  TRY(auto evaluations,
      console.run<std::vector<Evaluation>>("Evaluate", JobPriority::Scan, [&](JobContext& job) {
        return evaluateAll(variants, reference, windows, job);
      }));
  proof.evaluation = std::move(evaluations[0]);
  if (rival != nullptr) proof.rival = std::move(evaluations[1]);
  return {};
}

Result<void> keepEvaluation(Console& console, const Engine& engine, const Recipe& recipe,
                            const std::string& title, const Json& result) {
  const bool changed = !recipe.rules.empty();
  TRY(auto plan, resolve(recipe, *engine.model));
  TRY(auto store, console.openStore());
  TRY(store.add({.kind = RunKind::Evaluate,
                 .model = engine.model->name(),
                 .fingerprint = engine.model->fingerprint(),
                 .title = title,
                 .state = "done",
                 .recipeJson = changed ? toJson(recipe) : "",
                 .planHash = changed ? plan.hash : "",
                 .bytes = plan.fileBytes,
                 .bitsPerWeight = plan.bitsPerWeight,
                 .resultJson = result.dump(-1, ' ', false, Json::error_handler_t::replace)}));
  return {};
}

Result<std::vector<ChoiceTask>> openTasks(const EvalArguments& args) {
  std::vector<ChoiceTask> tasks;
  for (const std::string& path : args.tasks) {
    TRY(auto task, loadChoiceTask(path, args.maxQuestions));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

// Everything that `eval` looks at, opened before the first long computation.
struct EvalInputs {
  Engine engine;
  Recipe recipe;
  std::optional<Variant> variant;
  Reference reference;
  std::optional<Rival> rival;
  std::vector<NamedText> texts;  // none: tasks alone
  std::vector<ChoiceTask> tasks;
};

Result<void> openInputs(Console& console, const EvalArguments& args, EvalInputs& inputs) {
  TRY(inputs.engine, openEngine(args.model, true, console.arithmetic()));
  TRY(inputs.recipe, openRecipe(args.recipe, args.codec));
  TRY(inputs.variant, variantOf(inputs.engine, inputs.recipe));
  TRY(inputs.tasks, openTasks(args));
  if (inputs.tasks.empty() || args.books || !args.texts.empty()) {
    TRY(inputs.texts, openTexts(args.texts, args.books));
  }
  TRY(openReference(args, inputs.engine, !inputs.recipe.rules.empty(), console.arithmetic(),
                    *inputs.variant, inputs.reference));
  if (!args.against.empty()) {
    TRY(inputs.rival, openRival(args.against, inputs.engine, console.arithmetic()));
  }
  return {};
}

Result<Proof> proveTexts(Console& console, const EvalArguments& args, const EvalInputs& inputs) {
  TRY(auto strata, makeStrata(*inputs.engine.tokenizer, inputs.texts, args.options,
                              args.spread ? Sampling::Spread : Sampling::First));
  Proof proof;
  proof.strata = strata.strata;
  TRY(proof.overlaps, overlapsWith(args.calibrationText, inputs.texts));
  TRY(measure(console, *inputs.variant, inputs.rival ? &*inputs.rival->variant : nullptr,
              inputs.reference.variant, strata.windows, proof));
  if (inputs.rival) proof.rivalName = inputs.rival->name;
  if (!args.tokenTable.empty()) {
    const std::string rows = tokenTable(proof);
    TRY(writeWhole(args.tokenTable, rows.data(), rows.size()));
  }
  return proof;
}

Result<void> answerTasks(Console& console, const EvalInputs& inputs, const std::string& name,
                         Json& result, std::string& words) {
  std::vector<Contestant> contestants = {{name, &*inputs.variant}};
  if (inputs.reference.variant) contestants.push_back({"reference", inputs.reference.variant});
  if (inputs.rival) contestants.push_back({inputs.rival->name, &*inputs.rival->variant});
  for (const ChoiceTask& task : inputs.tasks) {
    TRY(const TaskReport report, runTask(console, task, *inputs.engine.tokenizer, contestants));
    result["tasks"].push_back(toJson(report));
    words += taskText(report);
  }
  return {};
}

Result<void> runEval(Console& console, const EvalArguments& args) {
  EvalInputs inputs;
  TRY(openInputs(console, args, inputs));
  const std::string name =
      inputs.recipe.rules.empty() ? inputs.engine.model->sourceLabel() : inputs.recipe.name;
  Json result = Json::object();
  std::string words;
  if (!inputs.texts.empty()) {
    TRY(const Proof proof, proveTexts(console, args, inputs));
    result = toJson(proof);
    words = proofText(proof);
  }
  result["model"] = inputs.engine.model->name();
  std::string on = namesOf(inputs.texts);
  if (!on.empty()) result["text"] = on;
  if (inputs.rival && result.contains("against")) {
    result["against"]["bytes"] = inputs.rival->bytes;
    result["against"]["bpw"] = inputs.rival->bitsPerWeight;
  }
  TRY(answerTasks(console, inputs, name, result, words));
  for (const ChoiceTask& task : inputs.tasks) on += (on.empty() ? "" : ", ") + task.name;
  TRY(keepEvaluation(console, inputs.engine, inputs.recipe, strCat(name, " on ", on), result));
  console.print(result, words);
  return {};
}

Result<std::vector<TokenId>> loadIds(const std::string& path) {
  TRY(auto text, readText(path));
  const Json parsed = Json::parse(text, nullptr, false);
  const Json& ids = parsed.is_object() && parsed.contains("ids") ? parsed["ids"] : parsed;
  if (!ids.is_array() || ids.empty()) {
    return makeError(ErrorCode::Corrupt, path, ": is not a JSON array of token ids.");
  }
  std::vector<TokenId> result;
  for (const Json& id : ids) {
    if (!id.is_number_integer()) {
      return makeError(ErrorCode::Corrupt, path, ": holds ", id.dump(), ", which is no token id.");
    }
    result.push_back(id.get<TokenId>());
  }
  return result;
}

struct ChatArguments {
  std::string model, recipe, codec, against, prompt, system;
  ChatOptions options;
};

Result<ChatAnswer> speak(Console& console, const Variant& variant, const Tokenizer& tokenizer,
                         const std::vector<TokenId>& prompt, const ChatOptions& options,
                         const std::string& title, bool stream) {
  if (stream) std::cout << "── " << title << "\n";
  auto result = console.run<ChatAnswer>(title, JobPriority::Chat, [&](JobContext& job) {
    return answer(
        variant, tokenizer, prompt, options,
        [&](const ChatToken& token) {
          if (stream) std::cout << token.text << std::flush;
        },
        job);
  });
  if (stream && result) {
    std::cout << "\n   (" << fixed(result->tokensPerSecond, 1) << " tokens/s, first after "
              << fixed(result->firstTokenSeconds, 2) << " s)\n";
  }
  return result;
}

Json answerJson(const std::string& title, const ChatAnswer& answer) {
  Json ids = Json::array();
  for (const ChatToken& token : answer.tokens) ids.push_back(token.id);
  return {{"title", title},
          {"text", validUtf8(answer.text)},
          {"ids", ids},
          {"ended", answer.ended},
          {"tokens_per_second", answer.tokensPerSecond},
          {"first_token_seconds", answer.firstTokenSeconds}};
}

Result<void> runChat(Console& console, const ChatArguments& args) {
  TRY(auto engine, openEngine(args.model, true, console.arithmetic()));
  TRY(auto recipe, openRecipe(args.recipe, args.codec));
  TRY(auto variant, variantOf(engine, recipe));
  const ChatTemplate chat = ChatTemplate::detect(engine.model->metadata());
  console.note(std::string(chat.source()));
  std::vector<ChatMessage> messages;
  if (!args.system.empty()) messages.push_back({"system", args.system});
  messages.push_back({"user", args.prompt});
  TRY(auto rendered, chat.render(messages, true));
  const auto prompt = engine.tokenizer->encode(rendered, true);

  Json answers = Json::array();
  const bool stream = !console.json;
  const std::string title = recipe.rules.empty() ? engine.model->sourceLabel() : recipe.name;
  TRY(auto first, speak(console, variant, *engine.tokenizer, prompt, args.options, title, stream));
  answers.push_back(answerJson(title, first));
  if (!args.against.empty()) {
    TRY(auto other, openEngine(args.against, true, console.arithmetic()));
    const std::string name = other.model->path().filename().string();
    const auto otherPrompt = other.tokenizer->encode(rendered, true);
    TRY(auto second,
        speak(console, *other.variant, *other.tokenizer, otherPrompt, args.options, name, stream));
    answers.push_back(answerJson(name, second));
  }
  console.print({{"template", std::string(chat.source())}, {"answers", answers}}, "");
  return {};
}

}  // namespace

Verb addEval(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("eval", "Perplexity, and divergence from a reference, on a text");
  auto args = std::make_shared<EvalArguments>();
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  verb->add_option("--recipe", args->recipe, "See the model through a recipe");
  verb->add_option("--codec", args->codec, "See the model with every 2-D weight in one codec");
  verb->add_option("--reference", args->reference,
                   "Model to compare with (default with a recipe: the source)");
  verb->add_option("--precision", args->precision,
                   "What this way of computing costs: compare it with the exact one")
      ->transform(CLI::CheckedTransformer(kPrecisions))
      ->excludes("--reference");
  verb->add_option("--against", args->against,
                   "Compare with a codec, a recipe (.json) or a file on the same windows, paired");
  auto* text = verb->add_option("--text", args->texts,
                                "FILE or name=FILE, repeatable: figures for each, and the worst "
                                "(default: the built-in held-out text)");
  verb->add_flag("--books", args->books, "The built-in held-out text, each of its books by itself")
      ->excludes(text);
  verb->add_option("--calibration-text", args->calibrationText,
                   "Text that the file or recipe was fitted to: overlap is told");
  verb->add_option("--tasks", args->tasks,
                   "JSON lines of multiple-choice questions, repeatable; no text unless named");
  verb->add_option("--questions", args->maxQuestions, "Questions of a task at most (0: all)")
      ->capture_default_str();
  verb->add_option("--tokens-to", args->tokenTable,
                   "Write a CSV file: nll, KLD and equal top of each scored token");
  verb->add_option("--ctx", args->options.contextLength, "Tokens of a window")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  verb->add_option("--chunks", args->options.maxChunks, "Windows of a text at most (0: all)")
      ->capture_default_str();
  verb->add_flag("--spread", args->spread,
                 "Take those windows from all over the text, not its first ones");
  return {verb, [&console, args] { return runEval(console, *args); }};
}

Verb addLogits(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("logits", "Write the logits after each of the given tokens");
  struct Arguments {
    std::string model, recipe, tokens, output;
  };
  auto args = std::make_shared<Arguments>();
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  verb->add_option("--recipe", args->recipe, "See the model through a recipe");
  verb->add_option("--tokens", args->tokens, "JSON array of ids, or what `tokenize --json` printed")
      ->required();
  verb->add_option("-o,--output", args->output, "f32 little-endian, positions × vocabulary")
      ->required();
  return {
      verb, [&console, args]() -> Result<void> {
        TRY(auto engine,
            openEngine(args->model, false, {Precision::Exact, console.arithmetic().backend}));
        TRY(auto recipe, openRecipe(args->recipe, ""));
        TRY(auto variant, variantOf(engine, recipe));
        TRY(auto ids, loadIds(args->tokens));
        TRY(auto session, Session::create(variant, {.contextLength = uint32_t(ids.size()),
                                                    .cache = KvFormat::F32}));
        TRY(auto logits, console.run<Matrix>("Logits", JobPriority::Scan, [&](JobContext& job) {
          return session.evalAll(ids, job);
        }));
        TRY(writeWhole(args->output, logits.values.data(), logits.values.size() * sizeof(float)));
        console.print(
            {{"output", args->output}, {"positions", logits.rows}, {"vocabulary", logits.cols}},
            strCat(args->output, ": ", logits.rows, " × ", logits.cols, " floats"));
        return {};
      }};
}

Verb addChat(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("chat", "One prompt, one or two answers");
  auto args = std::make_shared<ChatArguments>();
  args->options.sampler.temperature = 0;
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  verb->add_option("--recipe", args->recipe, "See the model through a recipe");
  verb->add_option("--codec", args->codec, "See the model with every 2-D weight in one codec");
  verb->add_option("--against", args->against, "A second model that answers the same prompt");
  verb->add_option("--prompt", args->prompt, "What the user says")->required();
  verb->add_option("--system", args->system, "System message");
  verb->add_option("--max-tokens", args->options.maxTokens, "Length of an answer")
      ->capture_default_str();
  verb->add_option("--cache", args->options.cache, "Keys and values: f16, q8_0 (half of it) or f32")
      ->transform(CLI::CheckedTransformer(kCaches));
  auto& sampler = args->options.sampler;
  verb->add_option("--temperature", sampler.temperature, "0: greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  verb->add_option("--top-k", sampler.topK, "0: off")->capture_default_str();
  verb->add_option("--top-p", sampler.topP, "1: off")->capture_default_str();
  verb->add_option("--min-p", sampler.minP, "0: off")->capture_default_str();
  verb->add_option("--repetition-penalty", sampler.repetitionPenalty, "1: off")
      ->capture_default_str();
  verb->add_option("--seed", sampler.seed, "Same seed, same answer")->capture_default_str();
  return {verb, [&console, args] { return runChat(console, *args); }};
}

}  // namespace bitloom::cli

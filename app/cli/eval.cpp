// SPDX-License-Identifier: GPL-3.0-or-later
// eval, logits, chat: what a model, or a model through a recipe, does with text.
#include <fstream>
#include <iostream>
#include <map>
#include <optional>

#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/builtin.h"
#include "core/chat.h"

namespace bitloom::cli {
namespace {

struct EvalArguments {
  std::string model, recipe, codec, reference, text;
  EvaluateOptions options;
  std::optional<Precision> precision;  // whose price is asked for
};

// Names on the command line.
const std::map<std::string, Precision> kPrecisions = {
    {"exact", Precision::Exact}, {"measure", Precision::Measure}, {"chat", Precision::Chat}};

std::string evalText(const Evaluation& e) {
  std::string out =
      strCat("perplexity  ", fixed(e.perplexity, 4), " ± ", fixed(e.perplexityError, 4), "  (",
             e.tokens, " tokens scored in ", e.windows, " windows)\n");
  if (e.hasReference) {
    out += strCat("mean KLD    ", significant(e.kld.mean, 4), " ± ", significant(e.kld.error, 2),
                  "\n99 %        ", significant(e.kldP99, 4), "\n99.9 %      ",
                  significant(e.kldP999, 4), "\nmax         ", significant(e.kldMax, 4),
                  "\nsame top    ", fixed(100 * e.sameTop.mean, 2), " ± ",
                  fixed(100 * e.sameTop.error, 2), " %\n");
  }
  return out;
}

Result<void> runEval(Console& console, const EvalArguments& args) {
  TRY(auto engine, openEngine(args.model, true, console.precision()));
  TRY(auto recipe, openRecipe(args.recipe, args.codec));
  const bool changed = !recipe.rules.empty();
  TRY(auto variant, variantOf(engine, recipe));
  TRY(auto text, openText(args.text, BuiltinText::Evaluation));
  TRY(auto windows, makeWindows(*engine.tokenizer, text.bytes, args.options, text.name));

  Engine other;
  const Variant* reference =
      changed ? &*engine.variant : nullptr;  // a recipe is held to its source
  Variant exact = variant.copy();
  if (args.precision) {
    exact.setPrecision(Precision::Exact);
    variant.setPrecision(*args.precision);
    reference = &exact;
  }
  if (!args.reference.empty()) {
    TRY(other, openEngine(args.reference, false, console.precision()));
    reference = &*other.variant;
  }
  if (reference && reference->graph().vocabulary != variant.graph().vocabulary) {
    return makeError(ErrorCode::InvalidArgument, args.reference, ": has a vocabulary of ",
                     reference->graph().vocabulary, " tokens, ", args.model, " has ",
                     variant.graph().vocabulary, "; they cannot be compared.");
  }
  TRY(auto evaluation, console.run<Evaluation>("Evaluate", JobPriority::Scan, [&](JobContext& job) {
    return evaluate(variant, reference, windows, job);
  }));
  TRY(auto plan, resolve(recipe, *engine.model));
  Json result = toJson(evaluation);
  result["model"] = engine.model->name();
  result["text"] = text.name;
  TRY(auto store, console.openStore());
  TRY(store.add(
      {.kind = RunKind::Evaluate,
       .model = engine.model->name(),
       .fingerprint = engine.model->fingerprint(),
       .title = strCat(changed ? recipe.name : engine.model->sourceLabel(), " on ", text.name),
       .state = "done",
       .recipeJson = changed ? toJson(recipe) : "",
       .planHash = changed ? plan.hash : "",
       .bytes = plan.fileBytes,
       .bitsPerWeight = plan.bitsPerWeight,
       .resultJson = result.dump()}));
  console.print(result, evalText(evaluation));
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
  TRY(auto engine, openEngine(args.model, true, console.precision()));
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
    TRY(auto other, openEngine(args.against, true, console.precision()));
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
  verb->add_option("--text", args->text, "Text file (default: the built-in held-out text)");
  verb->add_option("--ctx", args->options.contextLength, "Tokens of a window")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  verb->add_option("--chunks", args->options.maxChunks, "Windows at most (0: all)")
      ->capture_default_str();
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
        TRY(auto engine, openEngine(args->model, false, Precision::Exact));
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

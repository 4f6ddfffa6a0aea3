// SPDX-License-Identifier: GPL-3.0-or-later
// demo: the whole job on the built-in model. Scan on one text, solve, prove on another, write,
// chat.
#include <algorithm>
#include <chrono>

#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/allocator.h"
#include "core/chat.h"
#include "core/machine.h"
#include "core/quantize.h"
#include "core/scan.h"

namespace bitloom::cli {
namespace {

constexpr const char* kUniform[] = {"q8_0", "q4_0", "tq4_1s", "tq3_1s", "tq3_1b4", "tq3_1b2"};
// What the solver may choose from: the fader ladder, and 8 bits for what cannot bear less.
constexpr const char* kCandidates[] = {"tq2_1b2", "tq3_1b8", "tq3_1b2", "tq4_1b8",
                                       "tq4_1b2", "q5_0",    "q8_0"};
constexpr int kBlindDraws = 5;

struct Demo {
  Console& console;
  Engine engine;
  ExperimentStore store;
  std::filesystem::path output;
  uint32_t chunks = 24;
  std::string prompt;
  std::vector<std::pair<std::string, double>> stages = {};  // name, seconds
};

template <typename T>
Result<T> stage(Demo& demo, const std::string& title, JobPriority priority,
                const std::function<Result<T>(JobContext&)>& work) {
  const auto begin = std::chrono::steady_clock::now();
  auto result = demo.console.run<T>(title, priority, work);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  if (demo.stages.empty() || demo.stages.back().first != title) demo.stages.emplace_back(title, 0);
  demo.stages.back().second += spent.count();
  return result;
}

std::vector<const Codec*> candidates() {
  std::vector<const Codec*> result;
  for (const char* name : kCandidates) result.push_back(findCodec(name));
  return result;
}

Result<Sensitivity> scanStage(Demo& demo) {
  TRY(auto text, openText("", BuiltinText::Calibration));
  const ScanRequest request{.metric = findMetric("kld"),
                            .codecs = candidates(),
                            .textName = text.name,
                            .text = text.bytes,
                            .probe = {.sequences = 16, .tokens = 64, .firstScored = 16}};
  return stage<Sensitivity>(demo, "Scan", JobPriority::Scan, [&](JobContext& job) {
    return scan(*demo.engine.variant, &*demo.engine.tokenizer, request, demo.store, {}, job);
  });
}

struct Arms {
  std::vector<std::string> names;
  std::vector<Recipe> recipes;
  size_t mix = 0;  // index; blind draws follow it
  double predicted = 0;
};

// Uniform codecs, the solved mix within the bytes of uniform TQ3_1S, and blind mixes of the same
// size: two neighbouring uniform codecs, tensors drawn at random. Embedding and head are the same
// in the mix and in the blind mixes.
Result<Arms> solveStage(Demo& demo, const Sensitivity& sensitivity) {
  const Model& model = *demo.engine.model;
  const Graph& graph = demo.engine.variant->graph();
  Arms arms;
  for (const char* codec : kUniform) {
    arms.names.push_back(codec);
    arms.recipes.push_back(uniformRecipe(*findCodec(codec)));
  }
  TRY(auto target, resolve(uniformRecipe(*findCodec("tq3_1s")), model));
  AllocationRequest request{
      .fileBytes = target.fileBytes, .codecs = candidates(), .allocator = "knapsack_exact"};
  auto solved = stage<Solution>(demo, "Solve", JobPriority::Probe, [&](JobContext& job) {
    return solve(model, graph, sensitivity, request, job);
  });
  if (!solved) return std::move(solved.error());
  arms.mix = arms.names.size();
  arms.predicted = solved->predicted.value;
  arms.names.push_back("mix");
  solved->recipe.name = "mix";
  arms.recipes.push_back(solved->recipe);
  for (const char* tensor : {"token_embd.weight", "output.weight"}) {
    const Tensor* found = model.find(tensor);
    if (found) request.pins[tensor] = solved->plan.tensors[model.indexOf(*found)].effective->name;
  }
  request.fileBytes = solved->plan.fileBytes;
  for (int draw = 1; draw <= kBlindDraws; ++draw) {
    auto blind = demo.console.run<Recipe>("Blind mix", JobPriority::Probe, [&](JobContext& job) {
      return blindMix(model, graph, sensitivity, request, uint64_t(draw), job);
    });
    if (!blind) return std::move(blind.error());
    arms.names.push_back(strCat("blind mix ", draw));
    arms.recipes.push_back(*blind);
  }
  return arms;
}

struct Proof {
  std::vector<Plan> plans;
  std::vector<Evaluation> evaluations;  // [0] is the source, then the arms
  Evaluation blind;                     // mean of the draws
  Plan blindPlan;
  Ratio ratio;  // mix ÷ blind mix, paired over windows
};

// The blind draws as one row: means over draws, errors over windows of that mean.
void foldBlind(Proof& proof, const Arms& arms) {
  const size_t first = 1 + arms.mix + 1;
  Evaluation& blind = proof.blind;
  blind = proof.evaluations[first];
  for (size_t i = first + 1; i < proof.evaluations.size(); ++i) {
    const Evaluation& draw = proof.evaluations[i];
    blind.perplexity += draw.perplexity;
    blind.perplexityError += draw.perplexityError;
    blind.kldP99 += draw.kldP99;
    blind.kldP999 += draw.kldP999;
    blind.sameTop.mean += draw.sameTop.mean;
    blind.sameTop.error += draw.sameTop.error;
    for (size_t w = 0; w < blind.windowKld.size(); ++w) blind.windowKld[w] += draw.windowKld[w];
  }
  const double draws = double(proof.evaluations.size() - first);
  for (double* value : {&blind.perplexity, &blind.perplexityError, &blind.kldP99, &blind.kldP999,
                        &blind.sameTop.mean, &blind.sameTop.error}) {
    *value /= draws;
  }
  for (double& value : blind.windowKld) value /= draws;
  blind.kld = estimate(blind.windowKld);
  proof.blindPlan = proof.plans[arms.mix + 1];
  proof.ratio = pairedRatio(proof.evaluations[1 + arms.mix].windowKld, blind.windowKld);
}

Result<Proof> proveStage(Demo& demo, const Arms& arms) {
  TRY(auto text, openText("", BuiltinText::Evaluation));
  TRY(auto windows, makeWindows(*demo.engine.tokenizer, text.bytes,
                                {.contextLength = 256, .maxChunks = demo.chunks}, text.name));
  Proof proof;
  std::vector<Variant> variants;
  TRY(auto source, variantOf(demo.engine, Recipe{}));
  variants.push_back(std::move(source));
  for (const Recipe& recipe : arms.recipes) {
    TRY(auto plan, resolve(recipe, *demo.engine.model));
    proof.plans.push_back(std::move(plan));
    TRY(auto variant, variantOf(demo.engine, recipe));
    variants.push_back(std::move(variant));
  }
  std::vector<const Variant*> pointers;
  for (const Variant& variant : variants) pointers.push_back(&variant);
  auto result = stage<std::vector<Evaluation>>(
      demo, "Prove", JobPriority::Scan,
      [&](JobContext& job) { return evaluateAll(pointers, &*demo.engine.variant, windows, job); });
  if (!result) return std::move(result.error());
  proof.evaluations = std::move(*result);
  foldBlind(proof, arms);
  return proof;
}

std::string title(const std::string& name) {
  const Codec* codec = findCodec(name);
  return codec ? std::string(codec->title) : name;
}

Json rowJson(const std::string& name, uint64_t bytes, double bpw, const Evaluation& evaluation) {
  Json row = {{"name", name}, {"bytes", bytes}, {"bpw", bpw}};
  row.update(toJson(evaluation));
  row.erase("seconds");
  return row;
}

Result<Json> rowsOf(Demo& demo, const Arms& arms, const Proof& proof) {
  const Model& model = *demo.engine.model;
  Json rows = Json::array();
  rows.push_back(rowJson("f16", model.fileBytes(), model.bitsPerWeight(), proof.evaluations[0]));
  for (size_t i = 0; i <= arms.mix; ++i) {
    const Plan& plan = proof.plans[i];
    rows.push_back(
        rowJson(arms.names[i], plan.fileBytes, plan.bitsPerWeight, proof.evaluations[i + 1]));
    TRY(demo.store.add({.kind = RunKind::Evaluate,
                        .model = model.name(),
                        .fingerprint = model.fingerprint(),
                        .title = title(arms.names[i]),
                        .state = "done",
                        .recipeJson = toJson(arms.recipes[i]),
                        .planHash = plan.hash,
                        .bytes = plan.fileBytes,
                        .bitsPerWeight = plan.bitsPerWeight,
                        .resultJson = rows.back().dump()}));
  }
  rows.push_back(
      rowJson("blind mix", proof.blindPlan.fileBytes, proof.blindPlan.bitsPerWeight, proof.blind));
  return rows;
}

std::string rowsText(const Json& rows) {
  std::vector<std::vector<std::string>> lines = {
      {"", "bytes", "bpw", "perplexity", "mean KLD", "p99", "same top"}};
  for (const Json& row : rows) {
    const bool source = row["name"] == "f16";
    const Json& kld = row["kld"];
    lines.push_back(
        {title(row["name"]), grouped(row["bytes"]), fixed(row["bpw"], 3),
         fixed(row["perplexity"]["mean"], 3) + " ± " + fixed(row["perplexity"]["error"], 3),
         source ? "0 (reference)" : fixed(kld["mean"], 5) + " ± " + fixed(kld["error"], 5),
         source ? "0" : fixed(kld["p99"], 4),
         fixed(100 * row["same_top"]["share"].get<double>(), 2) + " %"});
  }
  return table(lines);
}

struct SideBySide {
  ChatAnswer left, right;
  size_t divergence = 0;  // first token that differs
};

Result<SideBySide> chatStage(Demo& demo) {
  const ChatTemplate chat = ChatTemplate::detect(demo.engine.model->metadata());
  const ChatMessage message{"user", demo.prompt};
  TRY(auto rendered, chat.render(std::span(&message, 1), true));
  const auto prompt = demo.engine.tokenizer->encode(rendered, true);
  TRY(auto source, variantOf(demo.engine, Recipe{}));
  TRY(auto other, variantOf(demo.engine, uniformRecipe(*findCodec("tq3_1s"))));
  const ChatOptions options{.sampler = {.temperature = 0}, .maxTokens = 48};
  auto speak = [&](const Variant& variant) {
    return stage<ChatAnswer>(demo, "Chat", JobPriority::Chat, [&](JobContext& job) {
      return answer(variant, *demo.engine.tokenizer, prompt, options, {}, job);
    });
  };
  SideBySide result;
  TRY(result.left, speak(source));
  TRY(result.right, speak(other));
  const size_t shared = std::min(result.left.tokens.size(), result.right.tokens.size());
  while (result.divergence < shared &&
         result.left.tokens[result.divergence].id == result.right.tokens[result.divergence].id) {
    ++result.divergence;
  }
  return result;
}

// Two columns of text, wrapped.
std::string columns(const std::string& left, const std::string& right) {
  auto wrap = [](std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    std::vector<std::string> lines;
    std::string line;
    for (const std::string& word : split(text, ' ')) {
      if (!line.empty() && line.size() + word.size() > 46) lines.push_back(std::exchange(line, ""));
      line += (line.empty() ? "" : " ") + word;
    }
    lines.push_back(line);
    return lines;
  };
  const auto a = wrap(left), b = wrap(right);
  std::vector<std::vector<std::string>> rows = {{"FP16", "| TQ3_1S"}};
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    rows.push_back({i < a.size() ? a[i] : "", "| " + (i < b.size() ? b[i] : "")});
  }
  return table(rows);
}

Result<QuantizeSummary> exportStage(Demo& demo, const Recipe& recipe) {
  std::error_code failed;
  std::filesystem::create_directories(demo.output.parent_path(), failed);
  TRY(auto plan, resolve(recipe, *demo.engine.model));
  TRY(auto summary,
      stage<QuantizeSummary>(demo, "Export", JobPriority::Quantize, [&](JobContext& job) {
        return quantize(*demo.engine.model, plan, nullptr, demo.output, {}, job);
      }));
  TRY(demo.store.add({.kind = RunKind::Quantize,
                      .model = demo.engine.model->name(),
                      .fingerprint = demo.engine.model->fingerprint(),
                      .title = "demo: mix",
                      .state = "done",
                      .recipeJson = toJson(recipe),
                      .planHash = plan.hash,
                      .bytes = summary.bytes,
                      .bitsPerWeight = summary.bitsPerWeight,
                      .path = summary.path.string()}));
  return summary;
}

std::string verdict(const Ratio& ratio) {
  std::string text =
      strCat("The mix has ", fixed(ratio.value, 2),
             " × the blind mix's KLD at no more bytes (95 % interval ", fixed(ratio.low, 2), " … ",
             fixed(ratio.high, 2), ", paired over windows)");
  return text + (ratio.high < 1 ? ".\n" : ": a tie within the noise.\n");
}

Result<void> runDemo(Demo& demo) {
  TRY(auto sensitivity, scanStage(demo));
  TRY(auto arms, solveStage(demo, sensitivity));
  TRY(auto proof, proveStage(demo, arms));
  TRY(auto rows, rowsOf(demo, arms, proof));
  TRY(auto chat, chatStage(demo));
  TRY(auto exported, exportStage(demo, arms.recipes[arms.mix]));

  Json stages = Json::object();
  std::string times;
  for (const auto& [name, seconds] : demo.stages) {
    stages[name] = seconds;
    times += strCat(times.empty() ? "" : ", ", name, " ", fixed(seconds, 1), " s");
  }
  const Json result = {
      {"rows", rows},
      {"mix_to_blind",
       {{"ratio", proof.ratio.value}, {"low", proof.ratio.low}, {"high", proof.ratio.high}}},
      {"predicted", {{"kld", arms.predicted}}},
      {"chat",
       {{"prompt", demo.prompt},
        {"f16", validUtf8(chat.left.text)},
        {"tq3_1s", validUtf8(chat.right.text)},
        {"first_divergence", chat.divergence}}},
      {"export", exported.path.string()},
      {"seconds", stages},
      {"peak_memory_bytes", peakMemoryBytes()}};
  demo.console.print(
      result,
      strCat("\n", demo.engine.model->name(), " · held-out text, ", proof.evaluations[0].windows,
             " windows, ", grouped(proof.evaluations[0].tokens), " tokens scored\n\n",
             rowsText(rows), "\n", verdict(proof.ratio), "\n“", demo.prompt, "”\n\n",
             columns(chat.left.text, chat.right.text), "\nFirst divergence at token ",
             chat.divergence, ".\n\nExported: ", exported.path.string(), " (",
             grouped(exported.bytes), " bytes, verified)\n", times, "; peak memory ",
             decimalSize(peakMemoryBytes()), "\n"));
  return {};
}

}  // namespace

Verb addDemo(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("demo", "The whole job on the built-in model, end to end");
  struct Arguments {
    std::string output;
    std::string prompt = "Tell me a story about a little fox.";
    uint32_t chunks = 24;
  };
  auto args = std::make_shared<Arguments>();
  verb->add_option("-o,--output", args->output, "GGUF file to write (default: beside the store)");
  verb->add_option("--prompt", args->prompt, "What both answer")->capture_default_str();
  verb->add_option("--chunks", args->chunks, "Held-out windows")
      ->check(CLI::Range(2, 10000))
      ->capture_default_str();
  return {verb, [&console, args]() -> Result<void> {
            TRY(auto engine, openEngine("builtin", true, console.arithmetic()));
            TRY(auto store, console.openStore());
            std::filesystem::path output = args->output;
            if (output.empty()) output = store.path().parent_path() / "bitloom-story-11m-mix.gguf";
            Demo demo{console,           std::move(engine), std::move(store),
                      std::move(output), args->chunks,      args->prompt};
            return runDemo(demo);
          }};
}

}  // namespace bitloom::cli

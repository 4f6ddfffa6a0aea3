// SPDX-License-Identifier: GPL-3.0-or-later
// plan: from a recipe, a codec, a file size or a memory to what each tensor becomes.
#include <cmath>
#include <optional>

#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/allocator.h"
#include "core/architecture.h"
#include "core/device_split.h"
#include "core/live_loop.h"

namespace bitloom::cli {
namespace {

struct PlanArguments {
  std::string model, recipe, size, codec, codecs, scan, metric = "kld", allocator = "knapsack";
  std::string text, output, profile = "thetom";
  std::string memory;
  uint32_t context = MemoryBudget().contextLength;
  double bpw = 0;
  std::vector<std::string> pins;
  bool fuse = false;
};

// Cells from a file, or those that the store has for this model and metric.
Result<Sensitivity> openCells(Console& console, const PlanArguments& args, const Model& model) {
  if (!args.scan.empty()) {
    TRY(auto sensitivity, loadSensitivity(args.scan));
    if (!sensitivity.fingerprint.empty() && sensitivity.fingerprint != model.fingerprint()) {
      return makeError(ErrorCode::InvalidArgument, args.scan,
                       ": was measured on another model than ", model.path().filename().string(),
                       ".");
    }
    return sensitivity;
  }
  TRY(auto store, console.openStore());
  TRY(auto runs, store.runs(model.fingerprint()));
  for (const Run& run : runs) {
    if (run.kind != RunKind::Scan) continue;
    TRY(auto cells, store.cells(run.id));
    if (cells.metric == args.metric && !cells.cells.empty()) return cells;
  }
  return makeError(ErrorCode::NotFound, model.path().filename().string(), ": has no scan by ",
                   args.metric, " yet; run `bitloom-cli scan --metric ", args.metric,
                   "` first, or name one by --scan.");
}

// Candidates: every codec for which the scan has cells.
std::vector<const Codec*> codecsOf(const Sensitivity& sensitivity) {
  std::vector<const Codec*> result;
  for (const Codec* codec : codecs()) {
    for (const Cell& cell : sensitivity.cells) {
      if (cell.codec == codec->name) {
        result.push_back(codec);
        break;
      }
    }
  }
  return result;
}

Result<uint64_t> targetBytes(const PlanArguments& args, const Model& model,
                             const AllocationRequest& request, const Graph& graph) {
  if (!args.size.empty()) return parseSize(args.size);
  // Bits per weight count tensor bytes; the header comes on top and depends on no choice.
  TRY(auto range, reachableSizes(model, graph, request));
  (void)range;
  TRY(auto plan, resolve(uniformRecipe(*request.codecs.front()), model));
  const uint64_t header = plan.fileBytes - plan.tensorBytes;
  return header + uint64_t(args.bpw / 8 * double(model.weights()));
}

// Divergence on a probe of the text, for allocators that search by measuring.
struct PlanProbe {
  Engine engine;
  std::unique_ptr<LiveLoop> loop;

  Result<void> open(JobContext& job) {
    TRY(engine, openEngine(args.model, true, arithmetic));
    TRY(auto text, openText(args.text, BuiltinText::Calibration));
    const ProbeOptions options;
    TRY(auto tokens, probeTokens(*engine.tokenizer, text.bytes, options));
    TRY(loop, LiveLoop::create(*engine.variant, std::move(tokens), options, job));
    return {};
  }

  Result<double> measure(const Plan& plan, JobContext& job) {
    if (!loop) {
      TRY(open(job));
    }
    Variant variant = engine.variant->copy();
    variant.setPlan(plan);
    TRY(const ProbeResult result, loop->measure(variant, job));
    return result.kld.mean;
  }

  const PlanArguments& args;
  Arithmetic arithmetic;
};

// "8GiB", or several with or without a name: "cpu=8GiB,gpu=6GiB".
Result<std::vector<DeviceMemory>> parseDevices(const std::string& list) {
  std::vector<DeviceMemory> devices;
  for (const std::string& each : split(list, ',')) {
    const size_t equals = each.find('=');
    DeviceMemory device;
    device.name = equals == std::string::npos ? strCat("device ", devices.size() + 1)
                                              : each.substr(0, equals);
    TRY(device.bytes, parseSize(equals == std::string::npos ? each : each.substr(equals + 1)));
    devices.push_back(device);
  }
  return devices;
}

struct Budgeted {
  Solution solution;
  MemoryBudget memory;  // without devices: the budget was a file's
  std::vector<DeviceShare> shares;
};

Result<Budgeted> solveBudget(Console& console, const PlanArguments& args, const Model& model) {
  TRY(auto sensitivity, openCells(console, args, model));
  TRY(auto graph, buildGraph(model));
  AllocationRequest request{.codecs = codecsOf(sensitivity),
                            .fuseGroups = args.fuse,
                            .allocator = args.allocator,
                            .profile = args.profile};
  if (!args.codecs.empty()) {
    TRY(request.codecs, parseCodecs(args.codecs));
  }
  TRY(request.pins, parsePins(args.pins));
  Budgeted result;
  if (!args.memory.empty()) {
    TRY(result.memory.devices, parseDevices(args.memory));
    result.memory.contextLength = args.context;
    TRY(auto split, console.run<DeviceSplit>("Solve", JobPriority::Probe, [&](JobContext& job) {
      return solveSplit(model, graph, sensitivity, request, result.memory, job);
    }));
    result.solution = std::move(split.solution);
    result.shares = std::move(split.shares);
    return result;
  }
  TRY(request.fileBytes, targetBytes(args, model, request, graph));
  PlanProbe probe{.engine = {}, .loop = {}, .args = args, .arithmetic = console.arithmetic()};
  request.measure = [&](const Plan& plan, JobContext& job) { return probe.measure(plan, job); };
  TRY(result.solution, console.run<Solution>("Solve", JobPriority::Probe, [&](JobContext& job) {
    return solve(model, graph, sensitivity, request, job);
  }));
  return result;
}

std::string sharesText(const Budgeted& budgeted) {
  std::vector<std::vector<std::string>> rows = {
      {"device", "blocks", "weights", strCat("cache at ", budgeted.memory.contextLength), "free"}};
  for (size_t d = 0; d < budgeted.shares.size(); ++d) {
    const DeviceShare& share = budgeted.shares[d];
    const uint64_t taken = share.weightBytes + share.cacheBytes;
    rows.push_back({budgeted.memory.devices[d].name,
                    share.firstBlock == share.endBlock
                        ? "-"
                        : strCat(share.firstBlock, " … ", share.endBlock - 1),
                    binarySize(share.weightBytes), binarySize(share.cacheBytes),
                    binarySize(budgeted.memory.devices[d].bytes - taken)});
  }
  return table(rows);
}

Json sharesJson(const Budgeted& budgeted) {
  Json result = Json::array();
  for (size_t d = 0; d < budgeted.shares.size(); ++d) {
    const DeviceShare& share = budgeted.shares[d];
    result.push_back({{"name", budgeted.memory.devices[d].name},
                      {"memory", budgeted.memory.devices[d].bytes},
                      {"first_block", share.firstBlock},
                      {"end_block", share.endBlock},
                      {"weight_bytes", share.weightBytes},
                      {"cache_bytes", share.cacheBytes}});
  }
  return result;
}

// "predicted KLD 0.31 (95 %: 0.27 … 0.36)" where plans were measured, else the standard error.
std::string predictionText(const Prediction& predicted) {
  const std::string value = strCat("predicted KLD ", significant(predicted.value));
  if (std::isfinite(predicted.low)) {
    return strCat(value, " (95 %: ", significant(predicted.low, 3), " … ",
                  significant(predicted.high, 3), ", corrected by measured plans)\n");
  }
  return strCat(value, " ± ", significant(predicted.error, 2), " (by the cells alone)\n");
}

Result<void> runPlan(Console& console, const PlanArguments& args) {
  TRY(auto model, openModel(args.model));
  Recipe recipe;
  std::optional<Prediction> predicted;
  Budgeted budgeted;
  if (!args.recipe.empty() || !args.codec.empty()) {
    TRY(recipe, openRecipe(args.recipe, args.codec));
    TRY(auto pins, parsePins(args.pins));
    for (const auto& [pattern, codec] : pins) {
      recipe.rules.push_back({.pattern = pattern, .codec = codec, .why = "pinned", .pinned = true});
    }
  } else {
    TRY(budgeted, solveBudget(console, args, *model));
    recipe = budgeted.solution.recipe;
    predicted = budgeted.solution.predicted;
  }
  TRY(auto plan, resolve(recipe, *model));
  if (!args.output.empty()) TRY(saveRecipe(recipe, args.output));
  Json result = toJson(plan, *model);
  if (predicted) {
    result["predicted"] = {{"kld", predicted->value}, {"error", predicted->error}};
    if (std::isfinite(predicted->low)) {
      result["predicted"]["low"] = predicted->low;
      result["predicted"]["high"] = predicted->high;
    }
  }
  std::string text = planTable(plan, *model);
  if (predicted) text += predictionText(*predicted);
  if (!budgeted.shares.empty()) {
    result["devices"] = sharesJson(budgeted);
    text += sharesText(budgeted);
  }
  console.print(result, text);
  return {};
}

}  // namespace

Verb addPlan(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("plan", "Turn a recipe, a codec or a budget into a plan");
  auto args = std::make_shared<PlanArguments>();
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  auto* what = verb->add_option_group("what");
  what->add_option("--recipe", args->recipe, "A recipe file");
  what->add_option("--size", args->size, "Size of the final file: 96MiB, 2.9GB");
  what->add_option("--memory", args->memory,
                   "What weights and key-value cache may take: 8GiB; of several devices in the "
                   "order of their blocks: cpu=8GiB,gpu=6GiB");
  what->add_option("--bpw", args->bpw, "Bits per weight over all tensors")
      ->check(CLI::PositiveNumber);
  what->add_option("--codec", args->codec, "One codec for every 2-D weight");
  what->require_option(1);
  verb->add_option("--ctx", args->context, "Tokens of the cache, for --memory")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  verb->add_option("--scan", args->scan, "Cells from `scan -o` (default: the store's)");
  verb->add_option("--metric", args->metric, "Which of the store's scans, without --scan")
      ->capture_default_str();
  verb->add_option("--codecs", args->codecs, "Candidates (default: all that the scan has)");
  verb->add_option("--allocator", args->allocator,
                   "How the budget is spent; `bitloom-cli list allocators` names them")
      ->capture_default_str();
  verb->add_option(
      "--text", args->text,
      "What allocators that measure do it on (default: the built-in calibration text)");
  verb->add_option("--pin", args->pins, "GLOB=codec; repeatable");
  verb->add_flag("--fuse", args->fuse, "One codec each for q/k/v and for gate/up of a block");
  verb->add_option("-o,--output", args->output, "Write the recipe");
  return {verb, [&console, args] { return runPlan(console, *args); }};
}

}  // namespace bitloom::cli

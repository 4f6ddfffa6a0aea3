// SPDX-License-Identifier: GPL-3.0-or-later
// quantize, export: from a recipe to a file.
#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/exporter.h"
#include "core/method.h"

namespace bitloom::cli {
namespace {

Json summaryJson(const QuantizeSummary& summary, const Model& model) {
  Json result = {{"output", summary.path.string()},
                 {"bytes", summary.bytes},
                 {"bpw", summary.bitsPerWeight},
                 {"seconds", summary.seconds}};
  result["tensors"] = toJson(summary.plan, model)["tensors"];
  return result;
}

Result<void> storeRun(Console& console, RunKind kind, const Model& model, const Recipe& recipe,
                      const QuantizeSummary& summary) {
  TRY(auto store, console.openStore());
  Json figures = summaryJson(summary, model);
  figures.erase("tensors");
  TRY(store.add({.kind = kind,
                 .model = model.name(),
                 .fingerprint = model.fingerprint(),
                 .title = recipe.name.empty() ? summary.path.filename().string() : recipe.name,
                 .state = "done",
                 .recipeJson = toJson(recipe),
                 .planHash = summary.plan.hash,
                 .bytes = summary.bytes,
                 .bitsPerWeight = summary.bitsPerWeight,
                 .path = std::filesystem::absolute(summary.path).string(),
                 .resultJson = figures.dump()}));
  return {};
}

}  // namespace

Verb addQuantize(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("quantize", "Write a model through a recipe");
  struct Arguments {
    std::string model, recipe, codec, method, calibration, output;
    bool resume = false;
  };
  auto args = std::make_shared<Arguments>();
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  auto* what = verb->add_option_group("what");
  what->add_option("--recipe", args->recipe, "A recipe file");
  what->add_option("--codec", args->codec, "One codec for every 2-D weight");
  what->require_option(1);
  verb->add_option("--method", args->method,
                   "How codes are chosen, for all weights; `bitloom-cli list methods` names them")
      ->check(CLI::IsMember(methodNames()));
  verb->add_option("--calibration", args->calibration,
                   "What `calibrate` wrote, or an imatrix GGUF");
  verb->add_flag("--resume", args->resume, "Go on from an interrupted run's .part file");
  verb->add_option("-o,--output", args->output, "GGUF file to write")->required();
  return {
      verb, [&console, args]() -> Result<void> {
        TRY(auto model, openModel(args->model));
        TRY(auto recipe, openRecipe(args->recipe, args->codec));
        for (Rule& rule : recipe.rules) {
          if (!args->method.empty()) rule.method = args->method;
        }
        TRY(auto plan, resolve(recipe, *model));
        TRY(auto calibration, openCalibration(args->calibration));
        TRY(auto summary,
            console.run<QuantizeSummary>("Quantize", JobPriority::Quantize, [&](JobContext& job) {
              return quantize(*model, plan, calibration ? &*calibration : nullptr, args->output,
                              {.resume = args->resume}, job);
            }));
        TRY(storeRun(console, RunKind::Quantize, *model, recipe, summary));
        console.print(
            summaryJson(summary, *model),
            planTable(summary.plan, *model) + strCat(args->output, ": written and verified in ",
                                                     fixed(summary.seconds, 1), " s\n"));
        return {};
      }};
}

Verb addExport(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("export", "Write a file that a given runtime loads");
  struct Arguments {
    std::string model, recipe, format, calibration, output;
  };
  auto args = std::make_shared<Arguments>();
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  verb->add_option("--recipe", args->recipe, "A recipe file")->required();
  verb->add_option("--format", args->format, "`bitloom-cli list exporters` names them")->required();
  verb->add_option("--calibration", args->calibration, "What `calibrate` wrote");
  verb->add_option("-o,--output", args->output, "File to write")->required();
  return {verb, [&console, args]() -> Result<void> {
            const Exporter* exporter = findExporter(args->format);
            if (exporter == nullptr) {
              return makeError(ErrorCode::InvalidArgument, "There is no export format \"",
                               args->format, "\"; `bitloom-cli list exporters` names them.");
            }
            TRY(auto model, openModel(args->model));
            TRY(auto recipe, loadRecipe(args->recipe));
            TRY(auto check, exporter->check(recipe, *model));
            for (const std::string& line : check.loads) console.note("loads: " + line);
            for (const std::string& line : check.refuses) console.note("does not load: " + line);
            for (const std::string& line : check.changes) console.note("changed: " + line);
            TRY(auto calibration, openCalibration(args->calibration));
            TRY(auto summary,
                console.run<QuantizeSummary>("Export", JobPriority::Quantize, [&](JobContext& job) {
                  return exporter->write(check, *model, calibration ? &*calibration : nullptr,
                                         args->output, job);
                }));
            TRY(storeRun(console, RunKind::Export, *model, check.recipe, summary));
            std::string command = check.command;
            if (const size_t at = command.find("%f"); at != std::string::npos) {
              command.replace(at, 2, args->output);
            }
            Json result = summaryJson(summary, *model);
            result["loads"] = check.loads;
            result["refuses"] = check.refuses;
            result["changes"] = check.changes;
            result["command"] = command;
            console.print(result, strCat(args->output, ": ", grouped(summary.bytes),
                                         " bytes, verified\nrun it: ", command));
            return {};
          }};
}

}  // namespace bitloom::cli

// SPDX-License-Identifier: GPL-3.0-or-later
// calibrate and scan: what a model's tensors see, and how much each suffers.
#include "core/scan.h"
#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/calibration.h"

namespace bitloom::cli {
namespace {

std::string scanText(const Sensitivity& sensitivity) {
  std::vector<std::vector<std::string>> rows = {
      {"tensor", "codec", sensitivity.metric, "error", "bytes"}};
  for (const Cell& cell : sensitivity.cells) {
    rows.push_back({cell.tensor, cell.codec, significant(cell.value, 4),
                    cell.error > 0 ? significant(cell.error, 2) : "-", grouped(cell.bytes)});
  }
  return table(rows);
}

}  // namespace

Verb addCalibrate(CLI::App& app, Console& console) {
  auto* verb =
      app.add_subcommand("calibrate", "Gather Σx² of every linear op's input (an imatrix)");
  struct Arguments {
    std::string model, text, output;
    CalibrateOptions options;
  };
  auto args = std::make_shared<Arguments>();
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  verb->add_option("--text", args->text, "Calibration text (default: the built-in one)");
  verb->add_option("--chunks", args->options.maxChunks, "Chunks at most")->capture_default_str();
  verb->add_option("--ctx", args->options.chunkTokens, "Tokens of a chunk")->capture_default_str();
  verb->add_flag("--moments", args->options.moments,
                 "Gather Σx·xᵀ too, which method gptq needs (8 bytes × columns² for each input)");
  verb->add_option("-o,--output", args->output, "GGUF file to write; llama.cpp reads it too")
      ->required();
  return {verb, [&console, args]() -> Result<void> {
            TRY(auto engine, openEngine(args->model, true, console.precision()));
            TRY(auto text, openText(args->text, BuiltinText::Calibration));
            args->options.dataset = text.name;
            TRY(auto calibration,
                console.run<Calibration>("Calibrate", JobPriority::Scan, [&](JobContext& job) {
                  return calibrate(*engine.variant, *engine.tokenizer, text.bytes, args->options,
                                   job);
                }));
            TRY(saveCalibration(calibration, args->output));
            console.print(
                {{"output", args->output},
                 {"tensors", calibration.tensors.size()},
                 {"chunks", calibration.chunks},
                 {"tokens", uint64_t(calibration.chunks) * calibration.chunkTokens}},
                strCat(args->output, ": ", calibration.tensors.size(), " tensors, ",
                       calibration.chunks, " chunks of ", calibration.chunkTokens, " tokens"));
            return {};
          }};
}

Verb addScan(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("scan", "Measure how much each tensor suffers at each codec");
  struct Arguments {
    std::string model, metric = "kld", codecs = "tq3_1s,q4_0,q8_0", text, output;
    uint32_t sequences = 0, tokens = 0;  // 0: as the metric likes
    uint32_t trials = 16;
    bool resume = false;
  };
  auto args = std::make_shared<Arguments>();
  std::string known;
  for (const Metric* metric : metrics())
    known += (known.empty() ? "" : ", ") + std::string(metric->name);
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->required();
  verb->add_option("--metric", args->metric, "One of " + known)->capture_default_str();
  verb->add_option("--codecs", args->codecs, "Comma-separated codecs")->capture_default_str();
  verb->add_option("--text", args->text, "Text (default: the built-in calibration text)");
  verb->add_option("--chunks", args->sequences, "Probe sequences (default: as the metric likes)")
      ->check(CLI::Range(1, 1 << 20));
  verb->add_option("--tokens", args->tokens,
                   "Tokens of a probe sequence (default: as the metric likes)")
      ->check(CLI::Range(9, 4096));
  verb->add_option("--trials", args->trials,
                   "Plans to measure after a sketch, so that predictions have an interval")
      ->capture_default_str();
  verb->add_flag("--resume", args->resume, "Keep cells that the store has from an earlier scan");
  verb->add_option("-o,--output", args->output, "Write the cells as JSON");
  return {verb, [&console, args]() -> Result<void> {
            const Metric* metric = findMetric(args->metric);
            if (metric == nullptr) {
              return makeError(ErrorCode::InvalidArgument, "There is no metric \"", args->metric,
                               "\"; `bitloom-cli list metrics` names them.");
            }
            TRY(auto codecList, parseCodecs(args->codecs));
            TRY(auto engine, openEngine(args->model, metric->needsText, console.precision()));
            TRY(auto text, openText(args->text, BuiltinText::Calibration));
            TRY(auto store, console.openStore());
            ProbeOptions probe = metric->probe;
            if (args->sequences > 0) probe.sequences = args->sequences;
            if (args->tokens > 0) probe.tokens = args->tokens;
            const ScanRequest request{.metric = metric,
                                      .codecs = codecList,
                                      .textName = text.name,
                                      .text = text.bytes,
                                      .probe = probe,
                                      .trials = args->trials,
                                      .resume = args->resume};
            TRY(auto sensitivity,
                console.run<Sensitivity>("Scan", JobPriority::Scan, [&](JobContext& job) {
                  return scan(*engine.variant, engine.tokenizer ? &*engine.tokenizer : nullptr,
                              request, store, {}, job);
                }));
            if (!args->output.empty()) TRY(saveSensitivity(sensitivity, args->output));
            console.print(Json::parse(toJson(sensitivity)), scanText(sensitivity));
            return {};
          }};
}

}  // namespace bitloom::cli

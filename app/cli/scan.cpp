// SPDX-License-Identifier: GPL-3.0-or-later
// scan: how much each of a model's tensors suffers.
#include "core/scan.h"
#include "app/cli/inputs.h"
#include "app/cli/verbs.h"

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

Verb addScan(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("scan", "Measure how much each tensor suffers at each codec");
  struct Arguments {
    std::string model, metric = "kld", codecs = "tq3_1s,q4_0,q8_0", text, output;
    std::string method = "nearest", calibration;
    uint32_t sequences = 0, tokens = 0;  // 0: as the metric likes
    uint32_t trials = 16;
    double tolerance = 0;  // 0: as the metric likes
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
  verb->add_option("--tolerance", args->tolerance,
                   "Of kld_sequential: a cell is done when half its 95 % interval is at most this "
                   "share of its value (default: 0.2)")
      ->check(CLI::Range(0.01, 1.0));
  verb->add_option(
          "--trials", args->trials,
          "Plans to measure after kld or fisher_sketch, so that predictions have an interval")
      ->capture_default_str();
  verb->add_option("--method", args->method, "By which tensors are encoded")
      ->check(CLI::IsMember(methodNames()))
      ->capture_default_str();
  verb->add_option("--calibration", args->calibration, "What `calibrate` wrote, for the method");
  verb->add_flag("--resume", args->resume, "Keep cells that the store has from an earlier scan");
  verb->add_option("-o,--output", args->output, "Write the cells as JSON");
  return {verb, [&console, args]() -> Result<void> {
            const Metric* metric = findMetric(args->metric);
            if (metric == nullptr) {
              return makeError(ErrorCode::InvalidArgument, "There is no metric \"", args->metric,
                               "\"; `bitloom-cli list metrics` names them.");
            }
            TRY(auto codecList, parseCodecs(args->codecs));
            TRY(auto engine, openEngine(args->model, metric->needsText, console.arithmetic()));
            TRY(auto text, openText(args->text, BuiltinText::Calibration));
            TRY(const auto calibration, openCalibration(args->calibration));
            TRY(auto store, console.openStore());
            ProbeOptions probe = metric->probe;
            if (args->sequences > 0) probe.sequences = args->sequences;
            if (args->tokens > 0) probe.tokens = args->tokens;
            if (args->tolerance > 0) {
              if (probe.tolerance == 0) {
                return makeError(ErrorCode::InvalidArgument, "--tolerance: ", metric->name,
                                 " measures every sequence; it is for kld_sequential.");
              }
              probe.tolerance = args->tolerance;
            }
            const ScanRequest request{.metric = metric,
                                      .codecs = codecList,
                                      .textName = text.name,
                                      .text = text.bytes,
                                      .probe = probe,
                                      .trials = args->trials,
                                      .resume = args->resume,
                                      .method = findMethod(args->method),
                                      .calibration = calibration ? &*calibration : nullptr};
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

// SPDX-License-Identifier: GPL-3.0-or-later
// calibrate: what a model's linear ops see on a text; or several such files as one.
#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/builtin.h"
#include "core/calibration.h"
#include "core/inference/chat_template.h"

namespace bitloom::cli {
namespace {

struct CalibrateArguments {
  std::string model, against, output;
  std::vector<std::string> texts, merged;
  bool chatTemplate = false;
  CalibrateOptions options;
};

// "FILE" or "STRATUM=FILE"; a file of the whole name comes first.
Result<CorpusPart> openPart(const std::string& argument, const ChatTemplate* chat) {
  const size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0 || std::filesystem::exists(argument))
    return readCorpusPart(argument, "text", chat);
  const std::string stratum = argument.substr(0, equals);
  if (stratum.find_first_of(" \t/") != std::string::npos)
    return readCorpusPart(argument, "text", chat);
  return readCorpusPart(argument.substr(equals + 1), stratum, chat);
}

Result<std::vector<CorpusPart>> openCorpus(const CalibrateArguments& args, const Model& model) {
  const ChatTemplate chat = ChatTemplate::detect(model.metadata());
  std::vector<CorpusPart> corpus;
  for (const std::string& argument : args.texts) {
    TRY(auto part, openPart(argument, args.chatTemplate ? &chat : nullptr));
    corpus.push_back(std::move(part));
  }
  if (!corpus.empty()) return corpus;
  TRY(auto text, openText("", BuiltinText::Calibration));
  corpus.push_back(plainPart(text.name, std::move(text.bytes)));
  return corpus;
}

// How much of the text that results will be taken on was calibrated on.
Result<Json> overlapWith(Console& console, const std::string& path,
                         const Calibration& calibration) {
  TRY(const auto text, openText(path, BuiltinText::Evaluation));
  const double share = overlapOf(shinglesOf(text.bytes), calibration.shingles);
  if (share > 0) {
    console.note(strCat(text.name, ": ", fixed(100 * share, 1),
                        " % of its runs of 13 words are in the calibration text too, so figures on "
                        "it flatter."));
  }
  return Json{{"text", text.name}, {"share", share}};
}

Json sourcesJson(const Calibration& calibration) {
  Json sources = Json::array();
  for (const CalibrationSource& source : calibration.sources) {
    sources.push_back({{"stratum", source.stratum},
                       {"file", source.file},
                       {"sha256", source.hash},
                       {"chunks", source.chunks}});
  }
  return sources;
}

Result<void> printResult(Console& console, const CalibrateArguments& args,
                         const Calibration& calibration) {
  TRY(const Json overlap, overlapWith(console, args.against, calibration));
  std::string text = strCat(args.output, ": ", calibration.tensors.size(), " tensors, ",
                            calibration.chunks, " chunks of ", calibration.chunkTokens, " tokens",
                            calibration.hasMoments() ? ", with moments" : "", "\n");
  for (const CalibrationSource& source : calibration.sources)
    text += strCat("  ", source.stratum, "  ", source.file, ", ", source.chunks, " chunks\n");
  console.print({{"output", args.output},
                 {"tensors", calibration.tensors.size()},
                 {"chunks", calibration.chunks},
                 {"tokens", uint64_t(calibration.chunks) * calibration.chunkTokens},
                 {"moments", calibration.hasMoments()},
                 {"hash", calibration.hash},
                 {"sources", sourcesJson(calibration)},
                 {"overlap", overlap}},
                text);
  return {};
}

Result<void> merge(Console& console, const CalibrateArguments& args) {
  std::vector<Calibration> parts;
  for (const std::string& path : args.merged) {
    TRY(auto part, loadCalibration(path));
    parts.push_back(std::move(part));
  }
  const auto merged =
      console.run<bool>("Merge", JobPriority::Scan, [&](JobContext& job) -> Result<bool> {
        TRY(mergeCalibrations(parts, args.output, job));
        return true;
      });
  if (!merged) return merged.error();
  TRY(const auto calibration, loadCalibration(args.output));
  return printResult(console, args, calibration);
}

Result<void> gather(Console& console, const CalibrateArguments& args) {
  TRY(auto engine, openEngine(args.model, true, console.arithmetic()));
  TRY(const auto corpus, openCorpus(args, *engine.model));
  TRY(const auto calibration,
      console.run<Calibration>(
          "Calibrate", JobPriority::Scan, [&](JobContext& job) -> Result<Calibration> {
            if (!args.output.ends_with(".dat")) {
              return calibrateInto(args.output, *engine.variant, *engine.tokenizer, corpus,
                                   args.options, job);
            }
            TRY(auto made,
                calibrate(*engine.variant, *engine.tokenizer, corpus, args.options, job));
            TRY(saveCalibration(made, args.output));
            return made;
          }));
  return printResult(console, args, calibration);
}

}  // namespace

Verb addCalibrate(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand(
      "calibrate", "Gather what every linear op sees on a text (an imatrix), or merge such files");
  auto args = std::make_shared<CalibrateArguments>();
  auto* what = verb->add_option_group("what");
  what->add_option("MODEL", args->model, "GGUF file, or `builtin`");
  auto* merged = what->add_option("--merge", args->merged,
                                  "Calibrations to add up: GGUF, or llama.cpp's older .dat");
  what->require_option(1);
  verb->add_option("--text", args->texts,
                   "[STRATUM=]FILE, repeatable: text, or .jsonl with {\"text\"} or {\"messages\"} "
                   "lines (default: the built-in text)")
      ->excludes(merged);
  verb->add_flag("--chat-template", args->chatTemplate,
                 "Render messages as the model was trained on them");
  verb->add_option("--chunks", args->options.maxChunks, "Chunks at most, of all texts in turn")
      ->capture_default_str();
  verb->add_option("--ctx", args->options.chunkTokens, "Tokens of a chunk")->capture_default_str();
  verb->add_flag("--moments", args->options.moments,
                 "Gather E[x·xᵀ] too, which method gptq needs (8 bytes × columns² for each input)")
      ->excludes(merged);
  verb->add_option("--against", args->against,
                   "Text that results will be taken on: says how much of it was calibrated on "
                   "(default: the built-in held-out text)");
  verb->add_option("-o,--output", args->output,
                   "GGUF file to write, which llama.cpp reads too; .dat: its older format")
      ->required();
  return {verb, [&console, args] {
            return args->merged.empty() ? gather(console, *args) : merge(console, *args);
          }};
}

}  // namespace bitloom::cli

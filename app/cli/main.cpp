// SPDX-License-Identifier: GPL-3.0-or-later
#include <new>

#include "app/cli/verbs.h"
#include "core/io/mapping_guard.h"

using namespace bitloom;

int main(int argc, char** argv) {
  guardMappings();
  CLI::App app(
      "Fits a language model into a memory budget: scan, solve, quantize, prove, chat, export.\n"
      "MODEL is a path to a GGUF file, or `builtin`.",
      "bitloom-cli");
  app.set_version_flag("--version", "bitloom-cli " BITLOOM_VERSION);
  app.require_subcommand(1);
  cli::Console console;
  const std::vector<cli::Verb> verbs = {
      cli::addDemo(app, console),     cli::addInspect(app, console),
      cli::addTokenize(app, console), cli::addCalibrate(app, console),
      cli::addScan(app, console),     cli::addPlan(app, console),
      cli::addQuantize(app, console), cli::addEval(app, console),
      cli::addLogits(app, console),   cli::addChat(app, console),
      cli::addExport(app, console),   cli::addRuns(app, console),
      cli::addBench(app, console),    cli::addDoctor(app, console),
      cli::addList(app, console)};
  for (const cli::Verb& verb : verbs) console.addOptions(*verb.app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? cli::kDone : cli::kUsage;
  }

  for (const cli::Verb& verb : verbs) {
    if (!verb.app->parsed()) continue;
    if (auto ok = console.openBackend(); !ok) return cli::report(ok.error());
    try {
      const auto ok = verb.run();
      console.tellNotes();
      if (!ok) return cli::report(ok.error());
    } catch (const std::bad_alloc&) {
      return cli::report({ErrorCode::OutOfMemory, "This machine has not enough memory for " +
                                                      verb.app->get_name() + " on this model."});
    } catch (const std::exception& error) {
      return cli::report({ErrorCode::Io, verb.app->get_name() + " failed: " + error.what() + "."});
    }
  }
  return cli::kDone;
}

// SPDX-License-Identifier: GPL-3.0-or-later
// The verbs of bitloom-cli: each adds itself to the command line and runs when it was chosen.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <map>

#include "app/cli/console.h"

namespace bitloom::cli {

struct Verb {
  CLI::App* app;
  std::function<Result<void>()> run;
};

Verb addInspect(CLI::App& app, Console& console);
Verb addTokenize(CLI::App& app, Console& console);
Verb addCalibrate(CLI::App& app, Console& console);
Verb addScan(CLI::App& app, Console& console);
Verb addPlan(CLI::App& app, Console& console);
Verb addQuantize(CLI::App& app, Console& console);
Verb addEval(CLI::App& app, Console& console);
Verb addLogits(CLI::App& app, Console& console);
Verb addChat(CLI::App& app, Console& console);
Verb addExport(CLI::App& app, Console& console);
Verb addRuns(CLI::App& app, Console& console);
Verb addBench(CLI::App& app, Console& console);
Verb addDoctor(CLI::App& app, Console& console);
Verb addList(CLI::App& app, Console& console);
Verb addDemo(CLI::App& app, Console& console);

}  // namespace bitloom::cli

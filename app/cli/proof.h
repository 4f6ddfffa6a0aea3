// SPDX-License-Identifier: GPL-3.0-or-later
// What `eval` says about a model: texts by stratum, a rival on the same windows, overlap with the
// calibration text, and the same as JSON and as words.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app/cli/inputs.h"
#include "core/overlap.h"
#include "core/paired.h"
#include "core/strata.h"

namespace bitloom::cli {

// "name=FILE" or "FILE" (named after the file). Without arguments the built-in held-out text; with
// `books`, that text as three strata, one for each of its books.
Result<std::vector<NamedText>> openTexts(const std::vector<std::string>& arguments, bool books);

// What --against names: a codec for every weight, a recipe file (*.json) over the same source, or
// another model. `variant` lives as long as this and the engine given to openRival.
struct Rival {
  std::string name;
  std::optional<Engine> engine;  // of another model
  std::optional<Variant> variant;
  uint64_t bytes = 0;
  double bitsPerWeight = 0;
};
Result<Rival> openRival(const std::string& argument, const Engine& engine,
                        const Arithmetic& arithmetic);

struct Proof {
  std::vector<Stratum> strata;
  Evaluation evaluation;
  std::string rivalName;  // empty: there is none
  std::optional<Evaluation> rival;
  std::vector<std::string> overlaps;  // a sentence for each text
};

Json toJson(const PairedComparison& paired);
Json toJson(const Proof& proof);  // the keys of an Evaluation and those of strata and rival
std::string proofText(const Proof& proof);

// One line for each scored token: text, window, token, nll, kld, same_top of the variant, and
// nll_2, kld_2, same_top_2 of the rival where there is one.
std::string tokenTable(const Proof& proof);

}  // namespace bitloom::cli

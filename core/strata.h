// SPDX-License-Identifier: GPL-3.0-or-later
// Several texts evaluated in one go: each is a stratum (prose, encyclopedia, code, …) with figures
// of its own, and the one that suffers most is named. A mean over strata hides what a mix breaks.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/evaluate.h"

namespace bitloom {

struct NamedText {
  std::string name;  // of the stratum, for people
  std::string text;
};

// The built-in held-out text, each of its three books a stratum. It is prose throughout: texts of
// other kinds come from the user.
Result<std::vector<NamedText>> builtinStrata();

struct Stratum {
  std::string name;
  uint32_t firstWindow = 0;
  uint32_t windows = 0;
};

// Windows of all texts one after the other; no window spans two texts.
struct StrataWindows {
  Windows windows;
  std::vector<Stratum> strata;
};

// Which windows of a text are taken where not all are wanted. Neighbours resemble each other: the
// first of a long text speak for its beginning only, spread ones for all of it.
enum class Sampling { First, Spread };

// `options.maxChunks` holds for each text. A text too short for two windows is refused by name, and
// so are two texts of one name.
Result<StrataWindows> makeStrata(const Tokenizer& tokenizer, std::span<const NamedText> texts,
                                 const EvaluateOptions& options,
                                 Sampling sampling = Sampling::First);

// `count` windows at even distances, each from the middle of its stretch of the text; all where
// there are no more, or `count` is 0.
Windows spreadWindows(const Windows& all, uint32_t count);

struct StratumResult {
  std::string name;
  Evaluation evaluation;
};
// One result for each stratum, in order. `whole` is an evaluation of the windows of `makeStrata`.
std::vector<StratumResult> byStratum(const Evaluation& whole, std::span<const Stratum> strata);

// The stratum of the largest mean KLD; none without a reference or with fewer than two strata.
// Perplexities of different texts are no ranking: texts differ in how hard they are.
struct WorstStratum {
  size_t index = 0;
  bool tied = false;  // the interval of the next worst reaches up to its mean
};
std::optional<WorstStratum> worstStratum(std::span<const StratumResult> results);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Opening what the arguments of a verb name.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/console.h"
#include "core/evaluate.h"
#include "core/live_loop.h"
#include "core/recipe.h"
#include "core/variant.h"

namespace bitloom::cli {

struct Text {
  std::string name;  // file name, for people
  std::string bytes;
};

Result<std::shared_ptr<const Model>> openModel(const std::string& argument);

// A file, or the built-in text when `path` is empty.
enum class BuiltinText { Calibration, Evaluation };
Result<Text> openText(const std::string& path, BuiltinText fallback);

// "tq3_1s,q4_0" → codecs; the error names the unknown one and lists the known.
Result<std::vector<const Codec*>> parseCodecs(const std::string& list);
Result<const Codec*> parseCodec(const std::string& name);

// From --recipe or --codec; the source itself when both are empty.
Result<Recipe> openRecipe(const std::string& recipePath, const std::string& codec);

// What `calibrate` wrote; none when `path` is empty.
Result<std::optional<Calibration>> openCalibration(const std::string& path);

std::vector<std::string> methodNames();

// "GLOB=codec" pairs.
Result<std::map<std::string, std::string>> parsePins(const std::vector<std::string>& pins);

// A model with everything that inference needs. `plan` is kept when the recipe changes anything.
struct Engine {
  std::shared_ptr<const Model> model;
  std::unique_ptr<WeightCache> cache;
  std::optional<Variant> variant;
  std::optional<Tokenizer> tokenizer;
};
// The variant, and all made from it by variantOf, compute by `arithmetic`.
Result<Engine> openEngine(const std::string& model, bool needsTokenizer,
                          const Arithmetic& arithmetic);
Result<Variant> variantOf(const Engine& engine, const Recipe& recipe,
                          const Calibration* calibration = nullptr);

Json toJson(const Plan& plan, const Model& model);
std::string planTable(const Plan& plan, const Model& model);
std::string choiceName(const Choice& choice, const Model& model);  // effective codec or source type
Json toJson(const Evaluation& evaluation);

// Fixed-width text tables: first row is the head; numbers are right-aligned.
std::string table(const std::vector<std::vector<std::string>>& rows);
std::string fixed(double value, int digits);
std::string significant(double value, int digits = 3);

Result<void> writeWhole(const std::string& path, const void* data, size_t bytes);

}  // namespace bitloom::cli

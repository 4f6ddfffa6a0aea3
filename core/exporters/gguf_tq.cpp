// SPDX-License-Identifier: GPL-3.0-or-later
// GGUF for the two forks of llama.cpp that run TQ3_1S. They number it differently, so that a file
// serves one of them: the one of the recipe's profile, else TheTom's.
#include "core/exporters/gguf_mainline/portable.h"

namespace bitloom {
namespace {

Result<ExportCheck> check(const Recipe& recipe, const Model& model) {
  const bool turboTan = recipe.profile == "turbo-tan";
  TRY(ExportCheck result, portableTwin(recipe, model, turboTan ? "turbo-tan" : "thetom"));
  result.command = strCat(turboTan ? "llama.cpp-tq3" : "llama-cpp-turboquant",
                          "/build/bin/llama-cli -m %f -p \"Hello\" -n 128");
  return result;
}

}  // namespace

extern const Exporter exporter_gguf_tq;
const Exporter exporter_gguf_tq{
    "gguf-tq",
    "TQ3 forks",
    "GGUF that keeps TQ3_1S and TQ4_1S under the numbers of one fork of llama.cpp.",
    ".gguf",
    check,
    writeTwin};

}  // namespace bitloom

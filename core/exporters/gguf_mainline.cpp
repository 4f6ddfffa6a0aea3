// SPDX-License-Identifier: GPL-3.0-or-later
// The portable twin: a GGUF file that llama.cpp and everything built on it loads.
#include "core/exporters/gguf_mainline/portable.h"

namespace bitloom {
namespace {

Result<ExportCheck> check(const Recipe& recipe, const Model& model) {
  TRY(ExportCheck result, portableTwin(recipe, model, "mainline"));
  result.command = "llama-cli -m %f -p \"Hello\" -n 128";
  return result;
}

}  // namespace

extern const Exporter exporter_gguf_mainline;
const Exporter exporter_gguf_mainline{
    "gguf-mainline",
    "llama.cpp",
    "GGUF with the types of llama.cpp, Ollama and LM Studio; others become the nearest of those.",
    ".gguf",
    check,
    writeTwin};

}  // namespace bitloom

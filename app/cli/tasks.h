// SPDX-License-Identifier: GPL-3.0-or-later
// `eval --tasks`: multiple-choice questions answered by a model, its reference and a rival.
#pragma once
#include <string>
#include <vector>

#include "app/cli/inputs.h"
#include "core/multiple_choice.h"

namespace bitloom::cli {

struct Contestant {
  std::string name;
  const Variant* variant = nullptr;
};

struct TaskReport {
  std::string name;
  std::vector<std::string> names;     // of the contestants, the model first
  std::vector<ChoiceResult> results;  // one for each
};

Result<TaskReport> runTask(Console& console, const ChoiceTask& task, const Tokenizer& tokenizer,
                           const std::vector<Contestant>& contestants);
Json toJson(const TaskReport& report);  // name, items, acc, acc_norm, compared [{name, …}]
std::string taskText(const TaskReport& report);

}  // namespace bitloom::cli

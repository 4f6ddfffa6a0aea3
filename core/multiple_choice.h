// SPDX-License-Identifier: GPL-3.0-or-later
// Multiple-choice tasks by the procedure of lm-evaluation-harness (4e7e0d4): each alternative is
// scored by the sum of log p(token) over its continuation, given its context. Context and
// continuation are tokenized jointly and split after as many tokens as the context has by itself;
// blanks at the end of the context belong to the continuation. `acc` takes the largest sum,
// `acc_norm` the largest sum per character. No prompt template of a chat model is applied.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/job.h"
#include "core/inference/tokenizer.h"
#include "core/statistics.h"
#include "core/variant.h"

namespace bitloom {

struct Alternative {
  std::string context;
  std::string continuation;  // begins with the blank that separates it from the context
  uint32_t characters = 0;   // code points of the choice itself; what acc_norm divides by
};

struct ChoiceItem {
  std::vector<Alternative> alternatives;  // two at least
  uint32_t answer = 0;                    // index of the right one
  uint32_t line = 0;                      // of the file, from 1
};

struct ChoiceTask {
  std::string name;  // file name, for people
  std::vector<ChoiceItem> items;
};

// One JSON object on each line; empty lines are skipped. Forms, told apart by their keys:
//   context, choices [texts], answer (index)                           any task
//   question, choices [texts] or {text, label}, answer or answerKey    ARC, MMLU
//   question {stem, choices [{text, label}]}, answerKey                ARC as first published
//   question_stem, choices {text, label}, answerKey                    OpenBookQA
//   goal, sol1, sol2, label                                            PIQA
//   ctx_a, ctx_b, activity_label, endings, label                       HellaSwag
//   sentence, option1, option2, answer                                 WinoGrande
//   passage, question, answer (true, false)                            BoolQ
// The error names the file, the line and the key. `maxItems` 0: all.
Result<ChoiceTask> loadChoiceTask(const std::filesystem::path& path, uint32_t maxItems = 0);
Result<ChoiceTask> parseChoiceTask(std::string_view jsonLines, const std::string& name,
                                   uint32_t maxItems = 0);

// Log-likelihoods in nats, [items][alternatives].
using ChoiceScores = std::vector<std::vector<double>>;
// BOS goes in front when the vocabulary asks for it. Tokens beyond the model's context are cut off
// at the front; a continuation that alone fills it is refused. Same scores at any thread count.
Result<ChoiceScores> scoreChoices(const Variant& variant, const Tokenizer& tokenizer,
                                  const ChoiceTask& task, JobContext& job);

struct Share {
  double value = 0;            // 0 … 1
  double error = 0;            // √(p(1−p)/n)
  std::vector<uint8_t> right;  // of each item
};
struct ChoiceResult {
  Share acc, accNorm;
  uint32_t items = 0;
  uint32_t ties = 0;  // items whose two best sums are equal: the first of them counts
};
ChoiceResult judge(const ChoiceTask& task, const ChoiceScores& scores);

// The same items answered by two variants: far sharper than two shares beside each other.
struct Flips {
  uint32_t gained = 0;     // wrong by the second, right by the first
  uint32_t lost = 0;       // right by the second, wrong by the first
  double difference = 0;   // first − second, of shares
  Interval interval;       // 95 %, Student's t over items
  double probability = 1;  // McNemar's exact test, two-sided
  bool tie = true;         // probability ≥ 0.05
};
Flips compareShares(const Share& first, const Share& second);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/tasks.h"

#include <cmath>

namespace bitloom::cli {
namespace {

Json toJson(const Share& share) { return {{"share", share.value}, {"error", share.error}}; }

Json toJson(const Flips& flips) {
  return {{"difference", flips.difference},
          {"low", flips.interval.low},
          {"high", flips.interval.high},
          {"gained", flips.gained},
          {"lost", flips.lost},
          {"mcnemar_p", flips.probability},
          {"tie", flips.tie}};
}

std::string shareText(const Share& share) {
  return strCat(fixed(100 * share.value, 2), " ± ", fixed(100 * share.error, 2), " %");
}

std::string flipsText(const char* figure, const std::string& rival, const Flips& flips) {
  return strCat(figure, " against ", rival, ": ", flips.gained, " gained, ", flips.lost, " lost, ",
                fixed(100 * flips.difference, 2),
                " points (95 %: ", fixed(100 * flips.interval.low, 2), " … ",
                fixed(100 * flips.interval.high, 2),
                "), McNemar p = ", significant(flips.probability, 2),
                flips.tie ? ": a tie inside the noise\n" : "\n");
}

}  // namespace

Result<TaskReport> runTask(Console& console, const ChoiceTask& task, const Tokenizer& tokenizer,
                           const std::vector<Contestant>& contestants) {
  TaskReport report{.name = task.name, .names = {}, .results = {}};
  for (const Contestant& contestant : contestants) {
    TRY(auto scores, console.run<ChoiceScores>(strCat(task.name, " · ", contestant.name),
                                               JobPriority::Scan, [&](JobContext& job) {
                                                 return scoreChoices(*contestant.variant, tokenizer,
                                                                     task, job);
                                               }));
    report.names.push_back(contestant.name);
    report.results.push_back(judge(task, scores));
  }
  return report;
}

Json toJson(const TaskReport& report) {
  const ChoiceResult& mine = report.results.front();
  Json json = {{"name", report.name},     {"items", mine.items},
               {"acc", toJson(mine.acc)}, {"acc_norm", toJson(mine.accNorm)},
               {"ties", mine.ties},       {"compared", Json::array()}};
  for (size_t i = 1; i < report.results.size(); ++i) {
    const ChoiceResult& other = report.results[i];
    json["compared"].push_back(
        {{"name", report.names[i]},
         {"acc", toJson(other.acc)},
         {"acc_norm", toJson(other.accNorm)},
         {"paired_acc", toJson(compareShares(mine.acc, other.acc))},
         {"paired_acc_norm", toJson(compareShares(mine.accNorm, other.accNorm))}});
  }
  return json;
}

std::string taskText(const TaskReport& report) {
  std::vector<std::vector<std::string>> rows = {{report.name, "questions", "acc", "acc_norm"}};
  for (size_t i = 0; i < report.results.size(); ++i) {
    const ChoiceResult& result = report.results[i];
    rows.push_back({report.names[i], std::to_string(result.items), shareText(result.acc),
                    shareText(result.accNorm)});
  }
  std::string out = "\n" + table(rows);
  const ChoiceResult& mine = report.results.front();
  for (size_t i = 1; i < report.results.size(); ++i) {
    const ChoiceResult& other = report.results[i];
    out += flipsText("acc", report.names[i], compareShares(mine.acc, other.acc));
    out += flipsText("acc_norm", report.names[i], compareShares(mine.accNorm, other.accNorm));
  }
  if (mine.ties > 0) {
    out += strCat("at ", mine.ties, " questions two choices score equal; the first counts\n");
  }
  return out;
}

}  // namespace bitloom::cli

// SPDX-License-Identifier: GPL-3.0-or-later
// runs: what was tried.
#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/report.h"

namespace bitloom::cli {
namespace {

Json parsed(const std::string& json) {
  return json.empty() ? Json() : Json::parse(json, nullptr, false);
}

Json toJson(const Run& run) {
  return {{"id", run.id},           {"kind", std::string(name(run.kind))},
          {"created", run.created}, {"model", run.model},
          {"title", run.title},     {"state", run.state},
          {"bytes", run.bytes},     {"bpw", run.bitsPerWeight},
          {"path", run.path},       {"result", parsed(run.resultJson)}};
}

std::string line(const Run& run, const char* key, const char* part) {
  const Json result = parsed(run.resultJson);
  if (!result.is_object() || !result.contains(key) || !result[key].contains(part) ||
      !result[key][part].is_number()) {
    return "-";
  }
  return significant(result[key][part].get<double>(), 4);
}

Result<void> listRuns(Console& console) {
  TRY(auto store, console.openStore());
  TRY(auto runs, store.runs());
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"id", "kind", "created", "state", "model", "title", "bytes", "KLD"}};
  for (const Run& run : runs) {
    all.push_back(toJson(run));
    rows.push_back({std::to_string(run.id), std::string(name(run.kind)), run.created, run.state,
                    run.model, run.title, run.bytes ? grouped(run.bytes) : "-",
                    line(run, "kld", "mean")});
  }
  console.print({{"runs", all}}, runs.empty() ? "No runs yet." : table(rows));
  return {};
}

Result<void> showRun(Console& console, int64_t id) {
  TRY(auto store, console.openStore());
  TRY(auto run, store.run(id));
  Json shown = toJson(run);
  shown["recipe"] = parsed(run.recipeJson);
  shown["notes"] = run.notes;
  console.print(shown, shown.dump(2, ' ', false, Json::error_handler_t::replace));
  return {};
}

Result<void> compareRuns(Console& console, int64_t left, int64_t right) {
  TRY(auto store, console.openStore());
  TRY(auto a, store.run(left));
  TRY(auto b, store.run(right));
  const std::vector<std::vector<std::string>> rows = {
      {"", std::to_string(left), std::to_string(right)},
      {"title", a.title, b.title},
      {"bytes", grouped(a.bytes), grouped(b.bytes)},
      {"bpw", fixed(a.bitsPerWeight, 3), fixed(b.bitsPerWeight, 3)},
      {"perplexity", line(a, "perplexity", "mean"), line(b, "perplexity", "mean")},
      {"KLD", line(a, "kld", "mean"), line(b, "kld", "mean")},
      {"KLD error", line(a, "kld", "error"), line(b, "kld", "error")},
      {"same plan", a.planHash == b.planHash ? "yes" : "no", ""}};
  console.print(
      {{"left", toJson(a)}, {"right", toJson(b)}, {"same_plan", a.planHash == b.planHash}},
      table(rows));
  return {};
}

Result<void> deleteRun(Console& console, int64_t id) {
  TRY(auto store, console.openStore());
  TRY(store.remove(id));
  console.print({{"deleted", id}}, strCat("Run ", id, " deleted."));
  return {};
}

// Of the named runs, or of all runs of one model; with the model at hand, tensor by tensor.
Result<void> reportRuns(Console& console, const std::vector<int64_t>& ids,
                        const std::string& modelArgument, const std::string& output) {
  if (output.empty()) {
    return makeError(ErrorCode::InvalidArgument,
                     "runs report: say where to, by -o FILE.html or -o FILE.md.");
  }
  std::shared_ptr<const Model> model;
  if (!modelArgument.empty()) {
    TRY(model, openModel(modelArgument));
  }
  TRY(auto store, console.openStore());
  TRY(auto request, reportRequest(store, model ? model->fingerprint() : "", ids));
  request.model = model.get();
  TRY(const Report report, buildReport(request));
  TRY(saveReport(report, output));
  console.print({{"output", output}, {"runs", request.runs.size()}, {"title", report.title}},
                strCat(output, ": ", request.runs.size(), " runs of ", report.title));
  return {};
}

}  // namespace

Verb addRuns(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("runs", "List, show, compare and delete what was tried");
  struct Arguments {
    std::string action, model, output;
    std::vector<int64_t> ids;
  };
  auto args = std::make_shared<Arguments>();
  verb->add_option("ACTION", args->action, "list, show ID, compare A B, delete ID, report [ID…]")
      ->required()
      ->check(CLI::IsMember({"list", "show", "compare", "delete", "report"}));
  verb->add_option("ID", args->ids, "Run numbers (report: the first with a proof is its subject)");
  verb->add_option("--model", args->model, "report: the runs' model, for the plan's tensors");
  verb->add_option("-o,--output", args->output, "report: FILE.html or FILE.md");
  return {verb, [&console, args]() -> Result<void> {
            if (args->action == "report") {
              return reportRuns(console, args->ids, args->model, args->output);
            }
            const size_t wanted = args->action == "list" ? 0 : args->action == "compare" ? 2 : 1;
            if (args->ids.size() != wanted) {
              return makeError(ErrorCode::InvalidArgument, "runs ", args->action, ": expected ",
                               wanted, " run numbers, got ", args->ids.size(), ".");
            }
            if (args->action == "list") return listRuns(console);
            if (args->action == "show") return showRun(console, args->ids[0]);
            if (args->action == "compare") return compareRuns(console, args->ids[0], args->ids[1]);
            return deleteRun(console, args->ids[0]);
          }};
}

}  // namespace bitloom::cli

// SPDX-License-Identifier: GPL-3.0-or-later
// How well the Fisher sketch with its correction predicts whole plans: fitted on some random mixes
// and solved plans, tried on others. Prints how many measured divergences the 95 % intervals hold
// and how wide they are.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>

#include "core/builtin.h"
#include "core/inference/tokenizer.h"
#include "core/scan.h"
#include "core/trial_plans.h"

namespace bitloom {
namespace {

struct Arguments {
  std::string model = "builtin", store = "prediction.sqlite";
  std::string codecs =
      "tq2_1b8,tq2_1b4,tq2_1b2,tq3_1b8,tq3_1b4,tq3_1b2,tq3_1s,tq4_1b8,tq4_1b4,tq4_1b2,q4_0,q5_0,"
      "q8_0";
  uint32_t sequences = 0, tokens = 0;  // of the sketch; 0: as it likes
  uint32_t fitRandom = 16, fitSolved = 16, random = 100, solved = 20;
};

class Trial {
 public:
  Trial(const Arguments& args, JobContext& job) : m_args(args), m_job(job), m_cache(0) {}

  Result<void> run() {
    TRY(const auto path, resolveModelArgument(m_args.model));
    TRY(m_model, Model::open(path));
    TRY(auto reference, Variant::create(m_model, m_cache));
    m_reference.emplace(std::move(reference));
    for (const std::string& name : split(m_args.codecs, ',')) m_codecs.push_back(findCodec(name));
    TRY(prepare());
    std::vector<PredictedPlan> fitted;
    TRY(addRandom(m_args.fitRandom, 1, fitted));
    TRY(addSolved(m_args.fitSolved, 0.5, fitted));
    TRY(const Correction correction, Correction::fit(fitted));
    std::vector<PredictedPlan> random, solved;
    TRY(addRandom(m_args.random, 2, random));
    TRY(addSolved(m_args.solved, 0, solved));
    std::printf("fitted on %zu plans, scatter %.3f\n", fitted.size(), correction.scatter());
    report("random mixes", random, correction);
    report("solved plans", solved, correction);
    return {};
  }

 private:
  Result<void> prepare() {
    TRY(auto tokenizer, Tokenizer::create(m_model->metadata()));
    TRY(auto store, ExperimentStore::open(m_args.store));
    ScanRequest request{.metric = findMetric("fisher_sketch"), .codecs = m_codecs};
    TRY(const auto path, builtinCalibrationText());
    TRY(request.text, readText(path));
    request.textName = path.filename().string();
    request.probe = request.metric->probe;
    if (m_args.sequences > 0) request.probe.sequences = m_args.sequences;
    if (m_args.tokens > 0) request.probe.tokens = m_args.tokens;
    TRY(m_cells, scan(*m_reference, &tokenizer, request, store, {}, m_job));
    m_predictor.emplace(*m_model, m_cells);
    const ProbeOptions options{};
    TRY(auto tokens, probeTokens(tokenizer, request.text, options));
    TRY(m_probe, LiveLoop::create(*m_reference, std::move(tokens), options, m_job));
    return {};
  }

  Result<void> measure(const std::vector<Plan>& plans, std::vector<PredictedPlan>& into) {
    for (const Plan& plan : plans) {
      TRY(into.emplace_back(), tryPlan(*m_reference, *m_predictor, plan, nullptr, *m_probe, m_job));
      std::fprintf(stderr, "%.3f bits: predicted %.4f, measured %.4f\n", plan.bitsPerWeight,
                   into.back().predicted, into.back().measured);
    }
    return {};
  }

  Result<void> addRandom(uint32_t count, uint64_t seed, std::vector<PredictedPlan>& into) {
    TRY(const auto plans, randomMixes(*m_model, m_codecs, "nearest", count, seed));
    return measure(plans, into);
  }

  Result<void> addSolved(uint32_t count, double shift, std::vector<PredictedPlan>& into) {
    TRY(const auto plans,
        solvedPlans(*m_model, m_reference->graph(), m_cells, m_codecs, count, shift, m_job));
    return measure(plans, into);
  }

  static void report(const char* name, const std::vector<PredictedPlan>& plans,
                     const Correction& correction) {
    size_t held = 0;
    std::vector<double> widths;
    for (const PredictedPlan& plan : plans) {
      const Correction::Interval interval = correction.apply(plan.predicted, plan.spread);
      if (std::isnan(interval.low)) continue;
      held += plan.measured >= interval.low && plan.measured <= interval.high;
      widths.push_back((interval.high - interval.low) / 2 / interval.value);
    }
    const size_t told = widths.size();
    std::printf("%s: %zu of %zu within, median half width %.1f %%; %zu beyond what was tried\n",
                name, held, told, told == 0 ? 0 : 100 * percentile(widths, 0.5),
                plans.size() - told);
  }

  const Arguments& m_args;
  JobContext& m_job;
  WeightCache m_cache;
  std::shared_ptr<const Model> m_model;
  std::optional<Variant> m_reference;
  std::vector<const Codec*> m_codecs;
  Sensitivity m_cells;
  std::optional<Predictor> m_predictor;
  std::unique_ptr<LiveLoop> m_probe;
};

}  // namespace
}  // namespace bitloom

int main(int argc, char** argv) {
  bitloom::Arguments args;
  CLI::App app("Coverage of predicted divergences");
  app.add_option("MODEL", args.model, "GGUF file, or `builtin`");
  app.add_option("--store", args.store, "Where the sketch is kept");
  app.add_option("--codecs", args.codecs, "Candidates");
  app.add_option("--chunks", args.sequences, "Sequences of the sketch");
  app.add_option("--tokens", args.tokens, "Tokens of a sequence");
  app.add_option("--fit-random", args.fitRandom, "Random mixes to fit on");
  app.add_option("--fit-solved", args.fitSolved, "Solved plans to fit on");
  app.add_option("--random", args.random, "Random mixes to try");
  app.add_option("--solved", args.solved, "Solved plans to try");
  CLI11_PARSE(app, argc, argv);
  bitloom::Workers workers;
  bitloom::JobControl control;
  bitloom::JobContext job(workers, control);
  const auto done = bitloom::Trial(args, job).run();
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return 1;
}

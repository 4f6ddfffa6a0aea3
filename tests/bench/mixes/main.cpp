// SPDX-License-Identifier: GPL-3.0-or-later
// Mixes of codecs at equal bytes, on text that no choice was made on: uniform codecs, the blind mix
// of the two uniform neighbours (mean of several draws), each metric with the knapsack, each
// allocator with the measured metric and with the sketch. Prints a Markdown table; ratios are to
// the blind mix with 95 % intervals over paired windows.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "core/allocator.h"
#include "core/builtin.h"
#include "core/evaluate.h"
#include "core/inference/tokenizer.h"
#include "core/scan.h"

namespace bitloom {
namespace {

struct Arguments {
  std::string model = "builtin", text, store = "mixes.sqlite";
  std::vector<std::string> sets = {
      "mainline=q2_k,q3_k,q4_k,q5_k,q6_k,iq4_nl,q4_0,q5_0,q8_0",
      "all=tq2_1b8,tq2_1b4,tq2_1b2,tq3_1b8,tq3_1b4,tq3_1b2,tq3_1s,tq4_1b8,tq4_1b4,tq4_1b2,"
      "q4_0,iq4_nl,q5_0,q8_0"};
  std::vector<double> bits = {3.5, 4.0, 4.5};
  std::vector<std::string> metrics, allocators;
  std::string measured = "kld", pin = "q8_0";
  uint32_t windows = 30, context = 256, sequences = 0, draws = 5;
};

struct Arm {
  std::string set;
  double bits;
  std::string name;
  Plan plan;
  double predicted = 0;
};

class Mixes {
 public:
  Mixes(const Arguments& args, JobContext& job) : m_args(args), m_job(job), m_cache(0) {}

  Result<void> run() {
    TRY(const auto path, resolveModelArgument(m_args.model));
    TRY(m_model, Model::open(path));
    TRY(auto reference, Variant::create(m_model, m_cache));
    m_reference.emplace(std::move(reference));
    TRY(auto tokenizer, Tokenizer::create(m_model->metadata()));
    m_tokenizer.emplace(std::move(tokenizer));
    TRY(auto store, ExperimentStore::open(m_args.store));
    m_store.emplace(std::move(store));
    for (const std::string& set : m_args.sets) {
      TRY(addSet(set.substr(0, set.find('=')), set.substr(set.find('=') + 1)));
    }
    return print();
  }

 private:
  Result<Sensitivity> scanOf(const Metric& metric, const std::vector<const Codec*>& codecs) {
    std::fprintf(stderr, "scan %s\n", std::string(metric.name).c_str());
    ScanRequest request{.metric = &metric, .codecs = codecs};
    TRY(const auto path, builtinCalibrationText());
    TRY(request.text, readText(path));
    request.textName = path.filename().string();
    request.probe = metric.probe;
    if (m_args.sequences > 0) request.probe.sequences = m_args.sequences;
    return scan(*m_reference, &*m_tokenizer, request, *m_store, {}, m_job);
  }

  // File of `bits` over the weights that are not pinned.
  Result<uint64_t> fileBytes(const AllocationRequest& request, double bits) {
    TRY(const Plan plan, resolve(uniformRecipe(*request.codecs.front()), *m_model));
    uint64_t weights = 0;
    uint64_t others = plan.fileBytes;
    for (const Choice& choice : plan.tensors) {
      if (!choice.effective) continue;
      const Tensor& tensor = m_model->tensors()[choice.tensor];
      others -= choice.bytes;
      if (request.pins.count(tensor.name)) {
        const Codec* pin = findCodec(request.pins.at(tensor.name));
        others += pin->rowBytes(tensor.rowLength()) * tensor.rows();
      } else {
        weights += tensor.weights();
      }
    }
    return others + uint64_t(bits / 8 * double(weights));
  }

  Result<void> addSet(const std::string& set, const std::string& list) {
    AllocationRequest request;
    for (const std::string& name : split(list, ',')) {
      const Codec* codec = findCodec(name);
      if (!codec) return makeError(ErrorCode::InvalidArgument, "There is no codec ", name, ".");
      request.codecs.push_back(codec);
    }
    for (const char* name : {"token_embd.weight", "output.weight"}) {
      if (m_model->find(name) != nullptr) request.pins[name] = m_args.pin;
    }
    std::map<std::string, Sensitivity> scans;
    for (const Metric* metric : metrics()) {
      const bool listed = std::count(m_args.metrics.begin(), m_args.metrics.end(), metric->name);
      if (!m_args.metrics.empty() && !listed) continue;
      TRY(scans[std::string(metric->name)], scanOf(*metric, request.codecs));
    }
    const Graph& graph = m_reference->graph();
    for (const double bits : m_args.bits) {
      TRY(request.fileBytes, fileBytes(request, bits));
      TRY(const SizeRange range, reachableSizes(*m_model, graph, request));
      if (request.fileBytes < range.floor) {
        std::printf("%s cannot reach %.2f bits: the smallest file is %llu bytes.\n", set.c_str(),
                    bits, static_cast<unsigned long long>(range.floor));
        continue;
      }
      TRY(addArms(set, bits, request, scans));
    }
    return {};
  }

  Result<void> addArms(const std::string& set, double bits, AllocationRequest request,
                       const std::map<std::string, Sensitivity>& scans) {
    const std::string hull = scans.count(m_args.measured) ? m_args.measured : scans.begin()->first;
    for (uint32_t draw = 1; draw <= m_args.draws; ++draw) {
      TRY(const Recipe recipe,
          blindMix(*m_model, m_reference->graph(), scans.at(hull), request, draw, m_job));
      TRY(const Plan plan, resolve(recipe, *m_model));
      m_arms.push_back({set, bits, "blind mix", plan});
    }
    for (const auto& [metric, cells] : scans) {
      TRY(addSolved(set, bits, request, metric, cells, "knapsack"));
    }
    for (const Allocator* allocator : allocators()) {
      const std::string name(allocator->name);
      const bool listed = std::count(m_args.allocators.begin(), m_args.allocators.end(), name);
      if (name == "knapsack" || (!m_args.allocators.empty() && !listed)) continue;
      for (const std::string& metric : {m_args.measured, std::string("fisher_sketch")}) {
        if (scans.count(metric)) {
          TRY(addSolved(set, bits, request, metric, scans.at(metric), name));
        }
      }
    }
    return {};
  }

  Result<void> addSolved(const std::string& set, double bits, AllocationRequest request,
                         const std::string& metric, const Sensitivity& cells,
                         const std::string& allocator) {
    std::fprintf(stderr, "%s %.2f %s x %s\n", set.c_str(), bits, metric.c_str(), allocator.c_str());
    request.allocator = allocator;
    if (!m_probe) {
      const ProbeOptions options{.sequences = 16, .tokens = 64, .firstScored = 16};
      TRY(const auto path, builtinCalibrationText());
      TRY(const std::string text, readText(path));
      TRY(auto tokens, probeTokens(*m_tokenizer, text, options));
      TRY(m_probe, LiveLoop::create(*m_reference, std::move(tokens), options, m_job));
    }
    request.measure = [&](const Plan& plan, JobContext& job) -> Result<double> {
      Variant variant = m_reference->copy();
      variant.setPlan(plan);
      TRY(const ProbeResult result, m_probe->measure(variant, job));
      return result.kld.mean;
    };
    TRY(const Solution solution, solve(*m_model, m_reference->graph(), cells, request, m_job));
    m_arms.push_back(
        {set, bits, metric + " × " + allocator, solution.plan, solution.predicted.value});
    return {};
  }

  Result<void> print() {
    TRY(const auto path,
        m_args.text.empty() ? builtinEvaluationText() : Result<std::filesystem::path>(m_args.text));
    TRY(const std::string text, readText(path));
    const EvaluateOptions options{.contextLength = m_args.context, .maxChunks = m_args.windows};
    TRY(const Windows windows, makeWindows(*m_tokenizer, text, options, path.string()));
    std::vector<Evaluation> evaluations;
    for (const Arm& arm : m_arms) {
      std::fprintf(stderr, "evaluate %s %.2f %s\n", arm.set.c_str(), arm.bits, arm.name.c_str());
      Variant variant = m_reference->copy();
      variant.setPlan(arm.plan);
      TRY(Evaluation evaluation, evaluate(variant, &*m_reference, windows, m_job));
      evaluations.push_back(std::move(evaluation));
    }
    std::printf("| set | bits | arm | bytes | KLD ± | ÷ blind [95 %%] | predicted |\n");
    std::printf("|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < m_arms.size(); ++i) {
      const std::vector<double> blind = blindOf(m_arms[i], evaluations);
      const Ratio ratio = pairedRatio(evaluations[i].windowKld, blind);
      std::printf("| %s | %.2f | %s | %llu | %.4f ± %.4f | %.3f [%.3f, %.3f] | %.4f |\n",
                  m_arms[i].set.c_str(), m_arms[i].bits, m_arms[i].name.c_str(),
                  static_cast<unsigned long long>(m_arms[i].plan.fileBytes),
                  evaluations[i].kld.mean, evaluations[i].kld.error, ratio.value, ratio.low,
                  ratio.high, m_arms[i].predicted);
    }
    return {};
  }

  // Mean of the draws, window by window.
  std::vector<double> blindOf(const Arm& arm, const std::vector<Evaluation>& evaluations) const {
    std::vector<double> mean;
    for (size_t i = 0; i < m_arms.size(); ++i) {
      const Arm& other = m_arms[i];
      if (other.name != "blind mix" || other.set != arm.set || other.bits != arm.bits) continue;
      mean.resize(evaluations[i].windowKld.size());
      for (size_t w = 0; w < mean.size(); ++w) {
        mean[w] += evaluations[i].windowKld[w] / m_args.draws;
      }
    }
    return mean;
  }

  const Arguments& m_args;
  JobContext& m_job;
  WeightCache m_cache;
  std::shared_ptr<const Model> m_model;
  std::optional<Variant> m_reference;
  std::optional<Tokenizer> m_tokenizer;
  std::optional<ExperimentStore> m_store;
  std::unique_ptr<LiveLoop> m_probe;
  std::vector<Arm> m_arms;
};

}  // namespace
}  // namespace bitloom

int main(int argc, char** argv) {
  bitloom::Arguments args;
  CLI::App app("Mixes at equal bytes against the blind mix");
  app.add_option("MODEL", args.model, "GGUF file, or `builtin`");
  app.add_option("--text", args.text, "Held-out text (default: the built-in one)");
  app.add_option("--store", args.store, "Where scans are kept");
  app.add_option("--set", args.sets, "NAME=codec,codec…; repeatable");
  app.add_option("--bits", args.bits, "Bits per weight that is not pinned")->delimiter(',');
  app.add_option("--metrics", args.metrics, "Default: all")->delimiter(',');
  app.add_option("--allocators", args.allocators, "Default: all")->delimiter(',');
  app.add_option("--pin", args.pin, "Codec of embedding and head in every arm");
  app.add_option("--windows", args.windows, "Windows of the held-out text");
  app.add_option("--ctx", args.context, "Tokens of a window");
  app.add_option("--chunks", args.sequences, "Sequences of a scan (default: as metrics like)");
  app.add_option("--draws", args.draws, "Blind mixes");
  CLI11_PARSE(app, argc, argv);
  bitloom::Workers workers;
  bitloom::JobControl control;
  bitloom::JobContext job(workers, control);
  const auto done = bitloom::Mixes(args, job).run();
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return 1;
}

// SPDX-License-Identifier: GPL-3.0-or-later
// Mixes of codecs at equal bytes, on text that no choice was made on: uniform codecs, the blind mix
// of the two uniform neighbours (mean of several draws), each metric with the knapsack, each
// allocator with the measured metric and with the sketch. Prints a Markdown table, budget by
// budget; ratios are to the blind mix with 95 % intervals over paired windows.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>

#include "core/allocator.h"
#include "core/builtin.h"
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
  uint32_t windows = 30, context = 256, sequences = 0, tokens = 0, draws = 5;
};

struct Arm {
  std::string set;
  double bits;
  std::string name;
  Plan plan;
  double predicted = std::numeric_limits<double>::quiet_NaN();
};

class Mixes {
 public:
  Mixes(const Arguments& args, JobContext& job)
      : m_args(args), m_job(job), m_cache(uint64_t{10} << 30) {}

  Result<void> run() {
    TRY(const auto path, resolveModelArgument(m_args.model));
    TRY(m_model, Model::open(path));
    TRY(auto reference, Variant::create(m_model, m_cache));
    m_reference.emplace(std::move(reference));
    TRY(auto tokenizer, Tokenizer::create(m_model->metadata()));
    m_tokenizer.emplace(std::move(tokenizer));
    TRY(auto store, ExperimentStore::open(m_args.store));
    m_store.emplace(std::move(store));
    TRY(openText());
    std::printf("| set | bits | arm | bytes | KLD ± | ÷ blind [95 %%] | predicted |\n");
    std::printf("|---|---|---|---|---|---|---|\n");
    for (const std::string& set : m_args.sets) {
      TRY(addSet(set.substr(0, set.find('=')), set.substr(set.find('=') + 1)));
    }
    return {};
  }

 private:
  Result<Sensitivity> scanOf(const Metric& metric, const std::vector<const Codec*>& codecs) {
    std::fprintf(stderr, "scan %s\n", std::string(metric.name).c_str());
    ScanRequest request{.metric = &metric, .codecs = codecs};
    TRY(const auto path, builtinCalibrationText());
    TRY(request.text, readText(path));
    request.textName = path.filename().string();
    request.probe = metric.probe;
    if (m_args.sequences > 0 && metric.measured) request.probe.sequences = m_args.sequences;
    if (m_args.tokens > 0 && metric.measured) request.probe.tokens = m_args.tokens;
    request.resume = true;
    request.trials = 0;
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
    TRY(printUniform(set, request));
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
      TRY(const auto arms, armsOf(set, bits, request, scans));
      TRY(print(arms, m_args.draws));
    }
    return {};
  }

  Result<void> printUniform(const std::string& set, const AllocationRequest& request) {
    std::vector<Arm> arms;
    for (const Codec* codec : request.codecs) {
      Recipe recipe = uniformRecipe(*codec);
      for (const auto& [tensor, pin] : request.pins) {
        recipe.rules.push_back({.pattern = tensor, .codec = pin});
      }
      TRY(const Plan plan, resolve(recipe, *m_model));
      arms.push_back({set, plan.bitsPerWeight, strCat("uniform ", codec->title), plan});
    }
    return print(arms, 0);
  }

  // The blind draws first.
  Result<std::vector<Arm>> armsOf(const std::string& set, double bits,
                                  const AllocationRequest& request,
                                  const std::map<std::string, Sensitivity>& scans) {
    std::vector<Arm> arms;
    const std::string hull = scans.count(m_args.measured) ? m_args.measured : scans.begin()->first;
    for (uint32_t draw = 1; draw <= m_args.draws; ++draw) {
      TRY(const Recipe recipe,
          blindMix(*m_model, m_reference->graph(), scans.at(hull), request, draw, m_job));
      TRY(const Plan plan, resolve(recipe, *m_model));
      arms.push_back({set, bits, "blind mix", plan});
    }
    for (const auto& [metric, cells] : scans) {
      TRY(arms.emplace_back(), solved(set, bits, request, metric, cells, "knapsack"));
    }
    for (const Allocator* allocator : allocators()) {
      const std::string name(allocator->name);
      const bool listed = std::count(m_args.allocators.begin(), m_args.allocators.end(), name);
      if (name == "knapsack" || (!m_args.allocators.empty() && !listed)) continue;
      for (const std::string& metric : {m_args.measured, std::string("fisher_sketch")}) {
        if (scans.count(metric)) {
          TRY(arms.emplace_back(), solved(set, bits, request, metric, scans.at(metric), name));
        }
      }
    }
    return arms;
  }

  Result<Arm> solved(const std::string& set, double bits, AllocationRequest request,
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
    return Arm{set, bits, metric + " × " + allocator, solution.plan, solution.predicted.value};
  }

  // Held-out windows, scored in their second half.
  Result<void> openText() {
    TRY(const auto path,
        m_args.text.empty() ? builtinEvaluationText() : Result<std::filesystem::path>(m_args.text));
    TRY(const std::string text, readText(path));
    const ProbeOptions options{m_args.windows, m_args.context, m_args.context / 2};
    TRY(auto tokens, probeTokens(*m_tokenizer, text, options));
    TRY(m_heldOut, LiveLoop::create(*m_reference, std::move(tokens), options, m_job));
    return {};
  }

  // Measures all arms of one budget, of which the first `draws` are blind, and prints their rows.
  Result<void> print(const std::vector<Arm>& arms, size_t draws) {
    std::vector<ProbeResult> results;
    for (const Arm& arm : arms) {
      Variant variant = m_reference->copy();
      variant.setPlan(arm.plan);
      TRY(results.emplace_back(), m_heldOut->measure(variant, m_job));
    }
    std::vector<double> blind(m_args.windows);
    for (size_t i = 0; i < draws; ++i) {
      for (size_t w = 0; w < blind.size(); ++w) {
        blind[w] += results[i].sequenceKld[w] / double(draws);
      }
    }
    for (size_t i = 0; i < arms.size(); ++i) {
      std::printf("| %s | %.2f | %s | %llu | %.4f ± %.4f |", arms[i].set.c_str(), arms[i].bits,
                  arms[i].name.c_str(), static_cast<unsigned long long>(arms[i].plan.fileBytes),
                  results[i].kld.mean, results[i].kld.error);
      if (draws > 0) {
        const Ratio ratio = pairedRatio(results[i].sequenceKld, blind);
        std::printf(" %.3f [%.3f, %.3f] |", ratio.value, ratio.low, ratio.high);
      } else {
        std::printf(" |");
      }
      std::printf(std::isfinite(arms[i].predicted) ? " %.4f |\n" : " |\n", arms[i].predicted);
    }
    std::fflush(stdout);
    return {};
  }

  const Arguments& m_args;
  JobContext& m_job;
  WeightCache m_cache;
  std::shared_ptr<const Model> m_model;
  std::optional<Variant> m_reference;
  std::optional<Tokenizer> m_tokenizer;
  std::optional<ExperimentStore> m_store;
  std::unique_ptr<LiveLoop> m_probe;  // of the calibration text, for allocators that measure
  std::unique_ptr<LiveLoop> m_heldOut;
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
  app.add_option("--chunks", args.sequences,
                 "Sequences of a measured scan (default: as metrics like)");
  app.add_option("--tokens", args.tokens, "Tokens of such a sequence");
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

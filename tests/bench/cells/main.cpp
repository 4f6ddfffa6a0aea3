// SPDX-License-Identifier: GPL-3.0-or-later
// A scan's cells beside the long way: quantize the one tensor into a file, open the file, evaluate
// it on the same tokens. Prints both divergences, both times, and what a whole scan takes by the
// mean of the sampled cells.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "core/builtin.h"
#include "core/evaluate.h"
#include "core/inference/tokenizer.h"
#include "core/live_loop.h"
#include "core/metric.h"
#include "core/quantize.h"
#include "core/statistics.h"

namespace bitloom {
namespace {

struct Arguments {
  std::string model = "builtin", text, codecs = "tq3_1s,q4_0,q5_0,q8_0";
  uint32_t sequences = 16, tokens = 256, sample = 10;
  double tolerance = 0;
  bool exact = false;
};

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class Comparison {
 public:
  Comparison(const Arguments& args, JobContext& job)
      : m_args(args), m_job(job), m_cache(uint64_t{4} << 30) {}

  Result<void> run() {
    TRY(const auto path, resolveModelArgument(m_args.model));
    TRY(m_model, Model::open(path));
    TRY(auto reference, Variant::create(m_model, m_cache));
    if (m_args.exact) reference.setPrecision(Precision::Exact);
    TRY(prepare(reference));
    const auto begin = Clock::now();
    TRY(const auto loop, LiveLoop::create(reference, m_tokens, m_options, m_job));
    const double start = secondsSince(begin);

    std::vector<const Codec*> codecs;
    for (const std::string& name : split(m_args.codecs, ',')) codecs.push_back(findCodec(name));
    const std::vector<CellKey> cells = scanCells(*m_model, codecs);
    std::printf("| tensor | codec | scan | sequences | file | deviation | scan s | file s |\n");
    std::printf("|---|---|---|---|---|---|---|---|\n");
    std::vector<double> scanSeconds, ratios;
    uint32_t within = 0;
    for (uint32_t i = 0; i < m_args.sample; ++i) {
      const CellKey& cell = cells[cells.size() * (2 * i + 1) / (2 * m_args.sample)];
      TRY(const ProbeResult scanned,
          loop->measureTensor(cell.tensor, *cell.codec, *findMethod("nearest"), nullptr, m_job));
      const auto from = Clock::now();
      TRY(const double file, throughFile(reference, cell));
      const double seconds = secondsSince(from);
      std::printf("| %s | %s | %.4g | %zu | %.4g | %+.3f %% | %.2f | %.2f |\n",
                  m_model->tensors()[cell.tensor].name.c_str(),
                  std::string(cell.codec->title).c_str(), scanned.kld.mean, scanned.kld.samples,
                  file, 100 * (scanned.kld.mean / file - 1), scanned.seconds, seconds);
      std::fflush(stdout);
      within += std::abs(scanned.kld.mean - file) <= interval95(scanned.kld);
      scanSeconds.push_back(scanned.seconds);
      ratios.push_back(seconds / scanned.seconds);
    }
    const double mean = estimate(scanSeconds).mean;
    std::printf("%u of %u within their own 95 %% interval of the file's\n", within, m_args.sample);
    std::printf("median ratio %.1f; the reference %.1f s, %zu cells at %.2f s each: %.0f s\n",
                percentile(ratios, 0.5), start, cells.size(), mean,
                start + mean * double(cells.size()));
    return {};
  }

 private:
  // The probe's tokens, and the same as windows: evaluation scores a row only when the text has a
  // next token, so each sequence gets one more, which no earlier row can see.
  Result<void> prepare(const Variant& reference) {
    TRY(const auto tokenizer, Tokenizer::create(reference.model().metadata()));
    TRY(const auto path, m_args.text.empty() ? builtinCalibrationText()
                                             : Result<std::filesystem::path>(m_args.text));
    TRY(const std::string text, readText(path));
    m_options = {m_args.sequences, m_args.tokens, 8, m_args.tolerance};
    TRY(m_tokens, probeTokens(tokenizer, text, m_options));
    for (uint32_t s = 0; s < m_args.sequences; ++s) {
      const auto first = m_tokens.begin() + std::ptrdiff_t(s) * m_args.tokens;
      m_windows.tokens.insert(m_windows.tokens.end(), first, first + m_args.tokens);
      m_windows.tokens.push_back(0);
    }
    m_windows.contextLength = m_args.tokens + 1;
    m_windows.firstScored = m_options.firstScored;
    return {};
  }

  Result<double> throughFile(const Variant& reference, const CellKey& cell) {
    Recipe recipe{.name = "one tensor"};
    recipe.rules.push_back(
        {.pattern = m_model->tensors()[cell.tensor].name, .codec = std::string(cell.codec->name)});
    TRY(const Plan plan, resolve(recipe, *m_model));
    const auto path = std::filesystem::temp_directory_path() / "bitloom-cell.gguf";
    TRY(quantize(*m_model, plan, nullptr, path, {}, m_job));
    TRY(const auto model, Model::open(path));
    WeightCache cache(uint64_t{1} << 30);
    TRY(auto variant, Variant::create(model, cache));
    variant.setPrecision(reference.precision());
    TRY(const Evaluation result, evaluate(variant, &reference, m_windows, m_job));
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return result.kld.mean;
  }

  const Arguments& m_args;
  JobContext& m_job;
  WeightCache m_cache;
  std::shared_ptr<const Model> m_model;
  ProbeOptions m_options;
  std::vector<TokenId> m_tokens;
  Windows m_windows;
};

}  // namespace
}  // namespace bitloom

int main(int argc, char** argv) {
  bitloom::Arguments args;
  CLI::App app("A scan's cells beside quantizing and evaluating");
  app.add_option("MODEL", args.model, "GGUF file, or `builtin`");
  app.add_option("--text", args.text, "Text (default: the built-in calibration text)");
  app.add_option("--codecs", args.codecs, "Comma-separated codecs");
  app.add_option("--chunks", args.sequences, "Sequences");
  app.add_option("--tokens", args.tokens, "Tokens of a sequence");
  app.add_option("--sample", args.sample, "Cells to compare, spread over all");
  app.add_option("--tolerance", args.tolerance, "Stop a cell at this relative half width");
  app.add_flag("--exact", args.exact, "All arithmetic in f32");
  CLI11_PARSE(app, argc, argv);
  bitloom::Workers workers;
  bitloom::JobControl control;
  bitloom::JobContext job(workers, control);
  const auto done = bitloom::Comparison(args, job).run();
  if (done) return 0;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return 1;
}

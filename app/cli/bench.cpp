// SPDX-License-Identifier: GPL-3.0-or-later
// bench: how fast this machine runs a model, and how long a drag takes to be measured.
#include <algorithm>
#include <chrono>

#include "app/cli/inputs.h"
#include "app/cli/verbs.h"
#include "core/inference/backend.h"
#include "core/inference/packed_weights.h"
#include "core/inference/session.h"
#include "core/machine.h"
#include "core/method.h"
#include "core/speed.h"

namespace bitloom::cli {
namespace {

constexpr double kGiga = 1e9;

struct Row {
  std::string name;
  double value;
  std::string unit;
};

double secondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Bytes of weights that one token's products read.
uint64_t bytesOfToken(const Variant& variant) {
  uint64_t bytes = 0;
  for (const Op& op : variant.graph().ops) {
    if (op.kind != OpKind::Linear) continue;
    const Tensor& tensor = variant.model().tensors()[size_t(op.weight)];
    bytes += packedBytes(*variant.codecOf(size_t(op.weight)), tensor.rows(), tensor.rowLength());
  }
  return bytes;
}

constexpr uint32_t kUsualPrompt = 512;

struct Arguments {
  std::string model = "builtin";
  std::string codecs;
  size_t megabytes = 512;
  bool live = false;
  uint32_t prompt = 0;  // 0: the usual one, or as much of it as the context holds
  uint32_t single = 32;
  int runs = 3;
  bool kernels = false;
};

// Where a device's time went, by kernel; of timed runs of prompt and single tokens together.
void addKernels(const Backend& backend, std::vector<Row>& rows) {
  const auto times = backend.kernelTimes();
  double all = 0;
  for (const vulkan::KernelTime& time : times) all += time.seconds;
  for (const vulkan::KernelTime& time : times) {
    rows.push_back({strCat("kernel_", time.shader), 100 * time.seconds / all, "% of kernels"});
    rows.push_back(
        {strCat("kernel_", time.shader, "_each"), 1e6 * time.seconds / double(time.runs), "us"});
  }
}

// Tokens per second of a prompt, of single tokens from an empty context on, and of single tokens
// after the prompt; means of some runs behind one that arranges the weights and warms up. In Chat
// on the CPU the weights that decoding reads are set beside the memory's speed.
Result<void> benchSession(const Engine& engine, const Arguments& args, std::vector<Row>& rows,
                          JobContext& job) {
  Variant variant = engine.variant->copy();
  if (variant.precision() != Precision::Exact) variant.setPrecision(Precision::Chat);
  const Graph& graph = variant.graph();
  const uint64_t needed = uint64_t(args.prompt) + args.single + (args.prompt == 0 ? 1 : 0);
  if (needed > graph.contextLength) {
    return makeError(ErrorCode::InvalidArgument, variant.model().name(), " has a context of ",
                     graph.contextLength, " tokens: ", needed, " are too many.");
  }
  const uint32_t prompt =
      args.prompt != 0 ? args.prompt : std::min(kUsualPrompt, graph.contextLength - args.single);
  std::vector<TokenId> tokens(prompt);
  for (uint32_t i = 0; i < prompt; ++i) tokens[i] = TokenId((i * 7919u) % graph.vocabulary);
  double prefill = 0, decode = 0, later = 0;
  for (int run = 0; run <= args.runs; ++run) {
    TRY(auto session,
        Session::create(variant, {.contextLength = prompt + args.single, .prefillBatch = prompt}));
    const auto speed = [&](uint32_t count, bool single) -> Result<double> {
      const auto begin = std::chrono::steady_clock::now();
      for (uint32_t i = 0; single && i < count; ++i) {
        TRY(session.eval(std::span(tokens).subspan(i, 1), job));
      }
      if (!single) TRY(session.eval(tokens, job));
      return count / secondsSince(begin);
    };
    TRY(const double first, speed(args.single, true));
    session.truncate(0);
    TRY(const double whole, speed(prompt, false));
    TRY(const double last, speed(args.single, true));
    if (run == 0) continue;
    decode += first / args.runs;
    prefill += whole / args.runs;
    later += last / args.runs;
  }
  rows.push_back({strCat("prefill_", prompt), prefill, "tokens/s"});
  rows.push_back({"decode", decode, "tokens/s"});
  rows.push_back({strCat("decode_after_", prompt), later, "tokens/s"});
  if (variant.precision() != Precision::Chat || variant.backend() != nullptr) return {};
  TRY(const Limits limits, measureLimits(job));
  const double read = decode * double(bytesOfToken(variant));
  rows.push_back({"decode_read", read / kGiga, "GB/s"});
  rows.push_back({"limit_read", limits.readBytes / kGiga, "GB/s"});
  rows.push_back({"decode_share", 100 * read / limits.readBytes, "% of read"});
  return {};
}

// Drags of each block in turn, all its tensors to TQ3_1S, measured on 512 probe tokens: the first
// time the block is encoded, the second time its weights are known. In Exact when the engine is.
Result<void> benchLive(const Engine& engine, std::vector<Row>& rows, JobContext& job) {
  const ProbeOptions options;
  std::vector<TokenId> tokens(size_t(options.sequences) * options.tokens);
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = TokenId((i * 7919u) % engine.variant->graph().vocabulary);
  }
  TRY(auto loop, LiveLoop::create(*engine.variant, tokens, options, job));
  Variant variant = engine.variant->copy();
  const Graph& graph = variant.graph();
  const Codec* codec = findCodec("tq3_1s");
  const auto setBlock = [&](int block, const Codec* to) {
    for (size_t t = 0; t < graph.parts.size(); ++t) {
      const Tensor& tensor = engine.model->tensors()[t];
      if (graph.parts[t].block != block || !isQuantizable(tensor)) continue;
      variant.setTensor(t, to ? effectiveCodec(to, tensor.rowLength()) : nullptr,
                        to ? findMethod("nearest") : nullptr);
    }
  };
  std::vector<double> encoding, cached;
  job.begin(graph.blocks, "blocks");
  for (int block = 0; block < int(graph.blocks); ++block) {
    for (std::vector<double>* times : {&encoding, &cached}) {
      setBlock(block, codec);
      TRY(const ProbeResult dragged, loop->measure(variant, job));
      times->push_back(1000 * dragged.seconds);
      setBlock(block, nullptr);
      TRY(loop->measure(variant, job));
    }
  }
  for (auto [name, times] : {std::pair{"encoding", encoding}, {"cached", cached}}) {
    rows.push_back({strCat("live_", name, "_first_block"), times.front(), "ms"});
    rows.push_back({strCat("live_", name, "_last_block"), times.back(), "ms"});
    rows.push_back({strCat("live_", name, "_median"), percentile(times, 0.5), "ms"});
    rows.push_back({strCat("live_", name, "_p95"), percentile(times, 0.95), "ms"});
  }
  return {};
}

// The memory's speed and that of small products, then each codec beside them.
Result<void> benchCodecs(const std::vector<const Codec*>& codecList, size_t megabytes,
                         std::vector<Row>& rows, JobContext& job) {
  constexpr size_t kRowLength = 1024;
  TRY(const Limits limits, measureLimits(job));
  rows.push_back({"limit_read", limits.readBytes / kGiga, "GB/s"});
  rows.push_back({"limit_copy", limits.copyBytes / kGiga, "GB/s"});
  rows.push_back({"in_cache_f32", limits.f32 / kGiga, "GFLOP/s"});
  if (limits.bf16 > 0) rows.push_back({"in_cache_bf16", limits.bf16 / kGiga, "GFLOP/s"});
  rows.push_back({"in_cache_int8", limits.int8 / kGiga, "GOP/s"});
  for (const Codec* codec : codecList) {
    const size_t count = std::max<size_t>(16, (megabytes << 20) / codec->rowBytes(kRowLength));
    TRY(const CodecSpeed speed, measureCodec(*codec, count, job));
    const std::string name(codec->name);
    rows.push_back({name + "_encode", speed.encode / kGiga, "Gweights/s"});
    rows.push_back({name + "_decode", speed.decode / kGiga, "Gweights/s"});
    rows.push_back({name + "_gemv", speed.gemv / kGiga, "GB/s"});
    rows.push_back({name + "_gemv_share", 100 * speed.gemv / limits.readBytes, "% of read"});
    rows.push_back({name + "_gemm", speed.gemm / kGiga, "GFLOP/s"});
  }
  return {};
}

}  // namespace

Verb addBench(CLI::App& app, Console& console) {
  auto* verb = app.add_subcommand("bench", "Measure speed on this machine");
  auto args = std::make_shared<Arguments>();
  verb->add_option("MODEL", args->model, "GGUF file, or `builtin`")->capture_default_str();
  auto* live =
      verb->add_flag("--live", args->live, "The live loop: each block in turn dragged to TQ3_1S");
  verb->add_option("--codecs", args->codecs,
                   "Codecs instead of a model, or `all`: encode, decode and multiply, beside the "
                   "machine's own limits")
      ->excludes(live);
  verb->add_option("--megabytes", args->megabytes,
                   "Size of the tensor that one token is multiplied with")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  verb->add_option("--prompt", args->prompt,
                   "Tokens of the prompt (default: 512, or what the context holds)")
      ->check(CLI::Range(1, 1 << 20));
  verb->add_option("--single", args->single, "Tokens that follow one by one")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_option("--runs", args->runs, "Runs behind a first one that warms up")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_flag("--kernels", args->kernels,
                 "Time of each kernel on the device too; they run one by one then, so all else is "
                 "slower");
  return {
      verb, [&console, args]() -> Result<void> {
        std::vector<Row> rows;
        std::vector<const Codec*> codecList;
        if (args->codecs == "all") {
          codecList.assign(codecs().begin(), codecs().end());
        } else if (!args->codecs.empty()) {
          TRY(codecList, parseCodecs(args->codecs));
        }
        Engine engine;
        if (codecList.empty()) {
          TRY(engine, openEngine(args->model, false, console.arithmetic()));
        }
        TRY(console.run<int>("Bench", JobPriority::Chat, [&](JobContext& job) -> Result<int> {
          if (!codecList.empty()) {
            TRY(benchCodecs(codecList, args->megabytes, rows, job));
          } else {
            if (args->kernels) {
              if (!engine.variant->backend()) {
                return makeError(ErrorCode::InvalidArgument,
                                 "Kernels are timed on a device: add --backend vulkan.");
              }
              TRY(engine.variant->backend()->timeKernels());
            }
            TRY(args->live ? benchLive(engine, rows, job) : benchSession(engine, *args, rows, job));
            if (args->kernels) addKernels(*engine.variant->backend(), rows);
          }
          return 0;
        }));
        Json list = Json::array();
        std::vector<std::vector<std::string>> lines = {{"name", "value", "unit"}};
        for (const Row& row : rows) {
          list.push_back({{"name", row.name}, {"value", row.value}, {"unit", row.unit}});
          lines.push_back({row.name, fixed(row.value, 2), row.unit});
        }
        const Machine machine = inspectMachine();
        console.print({{"cpu", machine.cpu},
                       {"target", machine.target},
                       {"threads", console.workers().threads()},
                       {"rows", list}},
                      table(lines));
        return {};
      }};
}

}  // namespace bitloom::cli

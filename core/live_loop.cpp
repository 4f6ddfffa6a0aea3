// SPDX-License-Identifier: GPL-3.0-or-later
// Kept: the reference's logits of all scored rows, its stream at every block border, and the stream
// at every border for the variant measured last. Borders are shared, immutable matrices, so that
// what a variant has in common with the reference costs nothing. On a matrix unit also what the
// reference's linear ops read and gave: variants compute what they differ in. A call that fails or
// is cancelled changes nothing that is kept.
#include "core/live_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/base/spread.h"
#include "core/base/strings.h"
#include "core/inference/linear_bases.h"
#include "core/inference/reference_logits.h"
#include "core/machine.h"

namespace bitloom {
namespace {

constexpr size_t kShownTokens = 8;
constexpr uint64_t kBaseShare = 8;  // an eighth of the machine's memory at most for bases
// Sequences before a measurement may end early, and between two looks at its interval.
constexpr uint32_t kFewestSequences = 8;
constexpr uint32_t kSequencesAtOnce = 4;

using Clock = std::chrono::steady_clock;
using Border = std::shared_ptr<const Matrix>;  // rows of the probe × width

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

uint64_t bytesOf(const Matrix& matrix) { return matrix.values.size() * sizeof(float); }

// For each tensor the first block that reads it: −1 before the blocks, `blocks` in the head,
// blocks + 1 when no op does.
std::vector<int> firstUses(const Variant& variant) {
  const Graph& graph = variant.graph();
  std::vector<int> uses(variant.model().tensors().size(), int(graph.blocks) + 1);
  for (const Op& op : graph.ops) {
    for (int tensor : {op.weight, op.bias, op.rope.factorsTensor}) {
      if (tensor != kNone) uses[size_t(tensor)] = std::min(uses[size_t(tensor)], op.block);
    }
  }
  return uses;
}

// As the text has them; with a tolerance so that any first part is spread over the text.
std::vector<uint32_t> sequenceOrder(const ProbeOptions& options) {
  std::vector<uint32_t> order(options.sequences);
  std::iota(order.begin(), order.end(), 0U);
  if (options.tolerance > 0) {
    std::sort(order.begin(), order.end(), [](uint32_t left, uint32_t right) {
      return reversedBits(left) < reversedBits(right);
    });
  }
  return order;
}

std::vector<std::string> signaturesOf(const Variant& variant) {
  std::vector<std::string> signatures(variant.model().tensors().size());
  for (size_t i = 0; i < signatures.size(); ++i) signatures[i] = variant.signatureOf(i);
  return signatures;
}

}  // namespace

// Of a probe's sequences.
struct SequenceRange {
  uint32_t first = 0;
  uint32_t count = 0;
};

struct LiveLoop::State {
  explicit State(const Variant& variant) : reference(variant), forward(variant) {}

  const Variant& reference;
  Forward forward;  // of the reference
  ProbeOptions options;
  std::vector<TokenId> tokens;
  std::vector<Segment> segments;
  std::vector<uint32_t> rows;  // scored, ascending
  std::vector<int> firstUse;   // by tensor

  ReferenceLogits logits;       // rows.size() × vocabulary
  std::vector<Border> borders;  // of the reference: before block 0 … before the head
  std::optional<LinearBases> bases;
  SpareBuffers spare;

  std::vector<std::string> variantSignatures;
  std::vector<Border> variantBorders;
  ProbeResult last;

  int blocks() const { return int(forward.graph().blocks); }
  Result<void> prepare(JobContext& job);
  Result<void> computeReference(JobContext& job);
  SequenceRange all() const { return {0, options.sequences}; }
  Result<std::vector<Border>> bordersFrom(Forward& engine, int first, Border start, JobContext& job,
                                          const OpTap& tap = {}) const;
  Result<Matrix> streamBefore(Forward& engine, int block, SequenceRange range,
                              JobContext& job) const;
  Result<ProbeResult> compare(Forward& engine, const Matrix& stream, SequenceRange range,
                              JobContext& job);
  Result<ProbeResult> measurePart(Forward& engine, int block, SequenceRange range, JobContext& job);
};

// Token rows, segments and scored rows from the options; the sentence says what does not fit.
Result<void> LiveLoop::State::prepare(JobContext& job) {
  if (options.sequences == 0 || options.firstScored >= options.tokens) {
    return makeError(ErrorCode::InvalidArgument, "A probe of ", options.sequences, " sequences of ",
                     options.tokens, " tokens has nothing to score from ", options.firstScored,
                     " on.");
  }
  const size_t wanted = size_t(options.sequences) * options.tokens;
  if (tokens.size() != wanted) {
    return makeError(ErrorCode::InvalidArgument, "A probe of ", options.sequences, " sequences of ",
                     options.tokens, " tokens needs ", wanted, " tokens, not ", tokens.size(), ".");
  }
  for (uint32_t sequence = 0; sequence < options.sequences; ++sequence) {
    segments.push_back({.tokens = options.tokens});
    for (uint32_t position = options.firstScored; position < options.tokens; ++position) {
      rows.push_back(sequence * options.tokens + position);
    }
  }
  firstUse = firstUses(reference);
  return job.checkpoint();
}

// Streams at the borders from block `first` on, `start` included. Each block is told as progress.
Result<std::vector<Border>> LiveLoop::State::bordersFrom(Forward& engine, int first, Border start,
                                                         JobContext& job, const OpTap& tap) const {
  std::vector<Border> result = {start};
  auto stream = std::make_shared<Matrix>(*start);
  for (int block = first; block < blocks(); ++block) {
    TRY(job.checkpoint());
    TRY(engine.blocks(block, block + 1, *stream, segments, job, tap));
    job.advance();
    result.push_back(stream);
    if (block + 1 < blocks()) stream = std::make_shared<Matrix>(*stream);
  }
  return result;
}

// The stream that `engine` has before a block of its own that differs from the reference: −1 for
// what comes before the blocks.
Result<Matrix> LiveLoop::State::streamBefore(Forward& engine, int block, SequenceRange range,
                                             JobContext& job) const {
  const size_t first = size_t(range.first) * options.tokens;
  const size_t count = size_t(range.count) * options.tokens;
  if (block < 0) return engine.embed(std::span(tokens).subspan(first, count), job);
  const Matrix& border = *borders[size_t(block)];
  Matrix stream(count, border.cols);
  std::copy_n(border.row(first), stream.values.size(), stream.values.data());
  return stream;
}

Result<void> LiveLoop::State::computeReference(JobContext& job) {
  job.begin(uint64_t(blocks()) + 1, "blocks");
  OpTap tap;
  if (LinearBases::pay(reference)) {
    bases.emplace(reference, tokens.size(), inspectMachine().memoryBytes / kBaseShare);
    tap = [this](const Op& op, const OpInputs& inputs) { bases->see(op, inputs); };
  }
  TRY(Matrix embedded, forward.embed(tokens, job));
  TRY(borders,
      bordersFrom(forward, 0, std::make_shared<const Matrix>(std::move(embedded)), job, tap));
  TRY(Matrix scored, forward.head(*borders.back(), rows, job, tap));
  logits = ReferenceLogits(std::move(scored), job);
  if (bases) bases->setLogits(logits.logits());
  for (const LogitRow& row : logits.rows()) {
    if (!std::isfinite(row.logSum)) {
      return makeError(ErrorCode::Corrupt, reference.model().name(),
                       ": the logits of the probe are not finite; a weight is NaN or too large.");
    }
  }
  job.advance();
  variantSignatures = signaturesOf(reference);
  variantBorders = borders;
  last.sequenceKld.assign(options.sequences, 0.0);
  last.kld = estimate(last.sequenceKld);
  const LogitRow& shown = logits.rows()[options.tokens - options.firstScored - 1];
  last.reference = last.variant = topTokens(shown.logits, kShownTokens);
  last.firstBlock = blocks() + 1;
  return {};
}

// Divergence of `stream`, the range's stream before the head, from the reference.
Result<ProbeResult> LiveLoop::State::compare(Forward& engine, const Matrix& stream,
                                             SequenceRange range, JobContext& job) {
  ProbeResult result;
  result.reference = last.reference;
  const size_t perSequence = options.tokens - options.firstScored;
  const size_t baseRow = range.first * perSequence;  // among all that are scored
  const auto scored = std::span(rows).first(range.count * perSequence);
  // The last row of the first sequence gives the tokens that are shown.
  const auto shown = range.first == 0 ? std::optional(perSequence - 1) : std::nullopt;
  TRY(const ComparedRows compared, engine.compare(stream, scored, logits, baseRow, shown, job));
  const std::vector<double>& kld = compared.kld;
  if (shown) {
    const LogitRow row = logitRow(compared.shown);
    for (const TokenProbability& token : result.reference) {
      const double logit = double(row.logits[size_t(token.id)]);
      result.variant.push_back({token.id, std::exp(logit - row.logSum)});
    }
  }
  for (size_t first = 0; first < kld.size(); first += perSequence) {
    double sum = 0;
    for (size_t i = first; i < first + perSequence; ++i) sum += kld[i];
    result.sequenceKld.push_back(sum / double(perSequence));
  }
  result.kld = estimate(result.sequenceKld);
  if (!std::isfinite(result.kld.mean)) {
    return makeError(ErrorCode::Corrupt, reference.model().name(),
                     ": with these codecs the logits are not finite.");
  }
  return result;
}

// The range's divergence when `engine` differs from the reference from `block` on.
Result<ProbeResult> LiveLoop::State::measurePart(Forward& engine, int block, SequenceRange range,
                                                 JobContext& job) {
  const int start = std::clamp(block, 0, blocks());
  TRY(Matrix stream, streamBefore(engine, std::min(block, start), range, job));
  const auto part = std::span(segments).subspan(range.first, range.count);
  const size_t baseRow = size_t(range.first) * options.tokens;
  for (int each = start; each < blocks(); ++each) {
    TRY(job.checkpoint());
    TRY(engine.blocks(each, each + 1, stream, part, job, {}, baseRow));
  }
  return compare(engine, stream, range, job);
}

LiveLoop::LiveLoop(std::unique_ptr<State> state) : m_state(std::move(state)) {}
LiveLoop::~LiveLoop() = default;

Result<std::unique_ptr<LiveLoop>> LiveLoop::create(const Variant& reference,
                                                   std::vector<TokenId> tokens,
                                                   const ProbeOptions& options, JobContext& job) {
  const auto begin = Clock::now();
  auto state = std::make_unique<State>(reference);
  state->options = options;
  state->tokens = std::move(tokens);
  TRY(state->prepare(job));
  TRY(state->computeReference(job));
  state->last.seconds = secondsSince(begin);
  return std::unique_ptr<LiveLoop>(new LiveLoop(std::move(state)));
}

Result<ProbeResult> LiveLoop::measure(const Variant& variant, JobContext& job) {
  const auto begin = Clock::now();
  State& state = *m_state;
  if (&variant.model() != &state.reference.model()) {
    return makeError(ErrorCode::InvalidArgument, variant.model().name(),
                     ": is not the model that the live measurement was started with.");
  }
  std::vector<std::string> signatures = signaturesOf(variant);
  int first = state.blocks() + 1;
  for (size_t i = 0; i < signatures.size(); ++i) {
    if (signatures[i] != state.variantSignatures[i]) first = std::min(first, state.firstUse[i]);
  }
  const int start = std::clamp(first, 0, state.blocks());
  job.begin(uint64_t(state.blocks() - start) + 1, "blocks");
  if (first > state.blocks()) {  // nothing that the result depends on
    state.last.firstBlock = first;
    state.last.seconds = secondsSince(begin);
    job.advance();
    return state.last;
  }
  Forward engine(variant, &state.spare);
  engine.setBases(state.bases ? &*state.bases : nullptr);
  Border border = state.variantBorders[size_t(start)];
  if (first < 0) {
    TRY(Matrix embedded, engine.embed(state.tokens, job));
    border = std::make_shared<const Matrix>(std::move(embedded));
  }
  TRY(auto borders, state.bordersFrom(engine, start, std::move(border), job));
  TRY(ProbeResult result, state.compare(engine, *borders.back(), state.all(), job));
  job.advance();
  result.firstBlock = first;
  result.seconds = secondsSince(begin);

  std::move(borders.begin(), borders.end(), state.variantBorders.begin() + start);
  state.variantSignatures = std::move(signatures);
  state.last = result;
  return result;
}

Result<ProbeResult> LiveLoop::measureTensor(size_t tensor, const Codec& codec, const Method& method,
                                            const Calibration* calibration, JobContext& job) {
  const auto begin = Clock::now();
  State& state = *m_state;
  Variant changed = state.reference.copy();
  changed.setCalibration(calibration);
  changed.setTensor(tensor, &codec, &method);
  const int first = state.firstUse[tensor];

  Forward engine(changed, &state.spare);
  engine.setBases(state.bases ? &*state.bases : nullptr);
  const double tolerance = state.options.tolerance;
  const uint32_t all = state.options.sequences;
  const uint32_t begun = tolerance > 0 ? std::min(kFewestSequences, all) : all;
  TRY(ProbeResult result, state.measurePart(engine, first, {0, begun}, job));
  for (uint32_t done = begun;
       done < all && !(interval95(result.kld) <= tolerance * result.kld.mean);) {
    const SequenceRange next{done, std::min(kSequencesAtOnce, all - done)};
    TRY(const ProbeResult part, state.measurePart(engine, first, next, job));
    result.sequenceKld.insert(result.sequenceKld.end(), part.sequenceKld.begin(),
                              part.sequenceKld.end());
    result.kld = estimate(result.sequenceKld);
    done += next.count;
  }
  result.firstBlock = first;
  result.seconds = secondsSince(begin);
  return result;
}

const ProbeOptions& LiveLoop::options() const { return m_state->options; }

uint64_t LiveLoop::bytes() const {
  const State& state = *m_state;
  uint64_t bytes = state.logits.bytes() + (state.bases ? state.bases->bytes() : 0);
  for (size_t i = 0; i < state.borders.size(); ++i) {
    bytes += bytesOf(*state.borders[i]);
    if (state.variantBorders[i] != state.borders[i]) bytes += bytesOf(*state.variantBorders[i]);
  }
  return bytes;
}

Result<std::vector<TokenId>> probeTokens(const Tokenizer& tokenizer, const std::string& text,
                                         const ProbeOptions& options) {
  const std::vector<TokenId> all = tokenizer.encode(text);
  const size_t wanted = size_t(options.sequences) * options.tokens;
  if (all.size() < wanted || wanted == 0) {
    return makeError(ErrorCode::InvalidArgument, "The probe text has ", all.size(), " tokens, and ",
                     options.sequences, " sequences of ", options.tokens, " tokens need ",
                     std::max<size_t>(wanted, 1), ".");
  }
  std::vector<TokenId> tokens;
  const size_t stride = all.size() / options.sequences;
  for (const uint32_t sequence : sequenceOrder(options)) {
    const auto first = all.begin() + std::ptrdiff_t(sequence * stride);
    const auto copy = tokens.insert(tokens.end(), first, first + options.tokens);
    if (tokenizer.addsBos() && tokenizer.bos()) *copy = *tokenizer.bos();
  }
  return tokens;
}

}  // namespace bitloom

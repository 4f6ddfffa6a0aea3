// SPDX-License-Identifier: GPL-3.0-or-later
// Windows run in batches of whole windows: blocks first, then the head on the scored rows alone, a
// slab of rows at a time, so that logits of a large vocabulary never fill the memory. The slab of
// the reference is computed once and compared with each variant's.
#include "core/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr size_t kBatchTokens = 2048;
constexpr size_t kSlabBytes = size_t{32} << 20;  // of one matrix of logits; two are alive

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

constexpr uint8_t kSameTop = 1;
constexpr uint8_t kTiedTop = 2;

bool topIsTied(const LogitRow& row) {
  size_t equal = 0;
  for (float logit : row.logits) equal += logit == row.largest ? 1 : 0;
  return equal > 1;
}

// Windows [first, first + count) of a text and the rows of their streams that are scored.
struct Batch {
  std::span<const TokenId> tokens;
  std::vector<Segment> segments;
  std::vector<uint32_t> rows;
};

Batch makeBatch(const Windows& windows, uint32_t first, uint32_t count) {
  const size_t length = windows.contextLength;
  Batch batch;
  batch.tokens = std::span(windows.tokens).subspan(first * length, count * length);
  for (uint32_t window = 0; window < count; ++window) {
    batch.segments.push_back({.tokens = windows.contextLength});
    for (uint32_t position = windows.firstScored; position + 2 <= windows.contextLength;
         ++position) {
      batch.rows.push_back(uint32_t(window * length) + position);
    }
  }
  return batch;
}

// The stream of a batch before the head. Progress goes to `job` in tokens, block by block.
Result<Matrix> runBlocks(Forward& forward, const Batch& batch, JobContext& job) {
  TRY(Matrix stream, forward.embed(batch.tokens, job));
  const uint64_t steps = uint64_t(forward.graph().blocks) + 1;  // the head counts as one
  uint64_t told = 0;
  for (uint32_t block = 0; block < forward.graph().blocks; ++block) {
    TRY(job.checkpoint());
    TRY(forward.blocks(int(block), int(block) + 1, stream, batch.segments, job));
    const uint64_t done = batch.tokens.size() * (block + 1) / steps;
    job.advance(done - told);
    told = done;
  }
  return stream;
}

uint64_t headTokens(const Batch& batch, uint32_t blocks) {
  return batch.tokens.size() - batch.tokens.size() * blocks / (uint64_t(blocks) + 1);
}

std::vector<LogitRow> summarise(const Matrix& logits, JobContext& job) {
  std::vector<LogitRow> rows(logits.rows);
  job.parallelFor(logits.rows, 1, [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      rows[row] = logitRow({logits.row(row), logits.cols});
    }
  });
  return rows;
}

double meanOf(std::span<const float> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

std::vector<double> windowMeans(std::span<const float> tokens, uint32_t windows) {
  const size_t perWindow = tokens.size() / windows;
  std::vector<double> means(windows);
  for (size_t w = 0; w < windows; ++w) means[w] = meanOf(tokens.subspan(w * perWindow, perWindow));
  return means;
}

void concludePerplexity(Evaluation& e) {
  const double n = double(e.tokenNll.size());
  const double mean = meanOf(e.tokenNll);
  double squares = 0;
  for (float nll : e.tokenNll) squares += (double(nll) - mean) * (double(nll) - mean);
  e.tokens = e.tokenNll.size();
  e.perplexity = std::exp(mean);
  e.perplexityError = e.perplexity * std::sqrt(squares / n / (n - 1));
  e.windowNll = windowMeans(e.tokenNll, e.windows);
  const Interval logarithm = meanInterval95(e.windowNll);
  e.perplexityInterval = {std::exp(logarithm.low), std::exp(logarithm.high)};
}

void concludeDivergence(Evaluation& e) {
  e.windowKld = windowMeans(e.tokenKld, e.windows);
  e.kld = estimate(e.windowKld);
  e.kldInterval = divergenceInterval95(e.windowKld);
  std::vector<double> sorted(e.tokenKld.begin(), e.tokenKld.end());
  e.kldP99 = percentile(sorted, 0.99);
  e.kldP999 = percentile(sorted, 0.999);
  e.kldMax = *std::max_element(sorted.begin(), sorted.end());
  std::vector<float> same(e.tokenSame.size());
  for (size_t i = 0; i < same.size(); ++i) {
    same[i] = (e.tokenSame[i] & kSameTop) != 0 ? 1.0F : 0.0F;
    e.tiedTops += (e.tokenSame[i] & kTiedTop) != 0 ? 1 : 0;
  }
  e.windowSame = windowMeans(same, e.windows);
  e.sameTop = estimate(e.windowSame);
  const Interval share = meanInterval95(e.windowSame);
  e.sameTopInterval = {std::max(0.0, share.low), std::min(1.0, share.high)};
}

// Every figure from what is known of the tokens.
void conclude(Evaluation& e) {
  concludePerplexity(e);
  if (e.hasReference) concludeDivergence(e);
}

class Comparison {
 public:
  Comparison(std::span<const Variant* const> variants, const Variant* reference,
             const Windows& windows, JobContext& job)
      : m_reference(reference), m_windows(windows), m_job(job), m_scores(variants.size()) {
    for (const Variant* variant : variants) {
      // A variant that is the reference itself is not computed twice.
      m_variants.push_back(variant == reference ? nullptr : std::make_unique<Forward>(*variant));
      m_names.push_back(variant->model().name());
    }
    if (reference != nullptr) m_referenceForward = std::make_unique<Forward>(*reference);
  }

  Result<std::vector<Evaluation>> run();

 private:
  Result<void> runBatch(uint32_t first, uint32_t count);
  Result<void> runSlab(const Batch& batch, std::span<const uint32_t> rows);
  Result<void> score(size_t variant, const Batch& batch, std::span<const uint32_t> rows,
                     const std::vector<LogitRow>& logits, const std::vector<LogitRow>& reference);
  size_t slabRows() const;

  const Variant* m_reference;
  const Windows& m_windows;
  JobContext& m_job;
  std::vector<std::unique_ptr<Forward>> m_variants;  // null: the reference itself
  std::vector<std::string> m_names;
  std::unique_ptr<Forward> m_referenceForward;  // null: there is none
  std::vector<Evaluation> m_scores;             // per token only, until all are there
  // Of the batch at hand.
  std::vector<Matrix> m_streams;
  Matrix m_referenceStream;
};

size_t Comparison::slabRows() const {
  const Forward& any = m_referenceForward ? *m_referenceForward : *m_variants.front();
  return std::max<size_t>(1, kSlabBytes / (sizeof(float) * any.graph().vocabulary));
}

Result<std::vector<Evaluation>> Comparison::run() {
  uint64_t passes = m_referenceForward ? 1 : 0;
  for (const auto& variant : m_variants) passes += variant ? 1 : 0;
  m_job.begin(passes * m_windows.tokens.size(), "tokens");

  const auto perBatch = uint32_t(std::max<size_t>(1, kBatchTokens / m_windows.contextLength));
  for (uint32_t first = 0; first < m_windows.count(); first += perBatch) {
    TRY(runBatch(first, std::min(perBatch, m_windows.count() - first)));
  }
  for (Evaluation& scores : m_scores) {
    scores.windows = m_windows.count();
    scores.hasReference = m_reference != nullptr;
    conclude(scores);
  }
  return std::move(m_scores);
}

Result<void> Comparison::runBatch(uint32_t first, uint32_t count) {
  const Batch batch = makeBatch(m_windows, first, count);
  if (m_referenceForward) {
    TRY(m_referenceStream, runBlocks(*m_referenceForward, batch, m_job));
  }
  m_streams.resize(m_variants.size());
  for (size_t i = 0; i < m_variants.size(); ++i) {
    if (!m_variants[i]) continue;
    const auto begin = Clock::now();
    TRY(m_streams[i], runBlocks(*m_variants[i], batch, m_job));
    m_scores[i].seconds += secondsSince(begin);
  }
  const std::span<const uint32_t> rows = batch.rows;
  const size_t slab = slabRows();
  for (size_t begin = 0; begin < rows.size(); begin += slab) {
    TRY(m_job.checkpoint());
    TRY(runSlab(batch, rows.subspan(begin, std::min(slab, rows.size() - begin))));
  }
  if (m_referenceForward) m_job.advance(headTokens(batch, m_referenceForward->graph().blocks));
  for (const auto& variant : m_variants) {
    if (variant) m_job.advance(headTokens(batch, variant->graph().blocks));
  }
  return {};
}

Result<void> Comparison::runSlab(const Batch& batch, std::span<const uint32_t> rows) {
  Matrix referenceLogits;
  std::vector<LogitRow> reference;
  if (m_referenceForward) {
    TRY(referenceLogits, m_referenceForward->head(m_referenceStream, rows, m_job));
    reference = summarise(referenceLogits, m_job);
  }
  for (size_t i = 0; i < m_variants.size(); ++i) {
    const auto begin = Clock::now();
    if (m_variants[i]) {
      TRY(const Matrix logits, m_variants[i]->head(m_streams[i], rows, m_job));
      TRY(score(i, batch, rows, summarise(logits, m_job), reference));
    } else {
      TRY(score(i, batch, rows, reference, reference));
    }
    m_scores[i].seconds += secondsSince(begin);
  }
  return {};
}

Result<void> Comparison::score(size_t variant, const Batch& batch, std::span<const uint32_t> rows,
                               const std::vector<LogitRow>& logits,
                               const std::vector<LogitRow>& reference) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool finite = std::isfinite(logits[i].logSum) &&
                        (reference.empty() || std::isfinite(reference[i].logSum));
    if (!finite) {
      const size_t scored = m_scores[variant].tokenNll.size() + i;
      return makeError(ErrorCode::Corrupt, m_names[variant], ": the logits of scored token ",
                       scored, " are not finite; a weight is NaN or too large.");
    }
  }
  Evaluation& scores = m_scores[variant];
  const size_t base = scores.tokenNll.size();
  scores.tokenNll.resize(base + rows.size());
  if (!reference.empty()) {
    scores.tokenKld.resize(base + rows.size());
    scores.tokenSame.resize(base + rows.size());
  }
  m_job.parallelFor(rows.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const auto next = size_t(batch.tokens[rows[i] + 1]);
      scores.tokenNll[base + i] = float(logits[i].logSum - double(logits[i].logits[next]));
      if (reference.empty()) continue;
      scores.tokenKld[base + i] = float(klDivergence(reference[i], logits[i]));
      // Any of the reference's equal largest logits is its top.
      const bool same = reference[i].logits[logits[i].top] == reference[i].largest;
      scores.tokenSame[base + i] =
          uint8_t((same ? kSameTop : 0) | (topIsTied(reference[i]) ? kTiedTop : 0));
    }
  });
  return {};
}

Result<void> checkTask(std::span<const Variant* const> variants, const Variant* reference,
                       const Windows& windows) {
  const bool wellFormed = windows.contextLength >= 2 && !windows.tokens.empty() &&
                          windows.tokens.size() % windows.contextLength == 0 &&
                          windows.firstScored + 2 <= windows.contextLength;
  if (!wellFormed) {
    return makeError(ErrorCode::InvalidArgument, "The text: ", windows.tokens.size(),
                     " tokens are no whole number of windows of ", windows.contextLength,
                     " tokens with scored positions from ", windows.firstScored, " on.");
  }
  if (variants.empty()) return makeError(ErrorCode::InvalidArgument, "Nothing to evaluate.");
  const Variant& first = reference != nullptr ? *reference : *variants.front();
  for (const Variant* variant : variants) {
    if (variant->graph().vocabulary != first.graph().vocabulary) {
      return makeError(ErrorCode::InvalidArgument, variant->model().name(), ": has ",
                       variant->graph().vocabulary, " tokens in its vocabulary, ",
                       first.model().name(), " has ", first.graph().vocabulary,
                       "; they cannot be compared.");
    }
  }
  return {};
}

}  // namespace

Result<Windows> makeWindows(const Tokenizer& tokenizer, const std::string& text,
                            const EvaluateOptions& options, const std::string& nameForErrors) {
  const size_t length = options.contextLength;
  if (length < 4) {
    return makeError(ErrorCode::InvalidArgument, "A context of ", length,
                     " tokens is too short to score anything; it takes 4 at least.");
  }
  // As llama.cpp does: the text is tokenized once, with BOS where the vocabulary wants it.
  std::vector<TokenId> tokens = tokenizer.encodeWithBos(text, false);
  if (tokens.size() < 2 * length) {
    return makeError(ErrorCode::InvalidArgument, nameForErrors, ": has ", tokens.size(),
                     " tokens, and windows of ", length, " tokens need ", 2 * length, ".");
  }
  size_t count = tokens.size() / length;
  if (options.maxChunks > 0) count = std::min<size_t>(count, options.maxChunks);
  tokens.resize(count * length);
  if (tokenizer.addsBos() && tokenizer.bos()) {
    for (size_t window = 0; window < count; ++window) tokens[window * length] = *tokenizer.bos();
  }
  Windows windows;
  windows.tokens = std::move(tokens);
  windows.contextLength = options.contextLength;
  windows.firstScored = options.contextLength / 2;
  return windows;
}

Result<std::vector<Evaluation>> evaluateAll(std::span<const Variant* const> variants,
                                            const Variant* reference, const Windows& windows,
                                            JobContext& job) {
  TRY(checkTask(variants, reference, windows));
  return Comparison(variants, reference, windows, job).run();
}

Result<Evaluation> evaluate(const Variant& variant, const Variant* reference,
                            const Windows& windows, JobContext& job) {
  const Variant* const variants[] = {&variant};
  TRY(auto evaluations, evaluateAll(variants, reference, windows, job));
  return std::move(evaluations.front());
}

Evaluation partOf(const Evaluation& whole, uint32_t first, uint32_t count) {
  CHECK(count > 0 && uint64_t(first) + count <= whole.windows);
  const size_t perWindow = whole.tokens / whole.windows;
  const auto cut = [&](const auto& all) {
    if (all.empty()) return all;
    const auto begin = all.begin() + std::ptrdiff_t(first * perWindow);
    return std::decay_t<decltype(all)>(begin, begin + std::ptrdiff_t(count * perWindow));
  };
  Evaluation part;
  part.windows = count;
  part.hasReference = whole.hasReference;
  part.tokenNll = cut(whole.tokenNll);
  part.tokenKld = cut(whole.tokenKld);
  part.tokenSame = cut(whole.tokenSame);
  part.seconds = whole.seconds * count / whole.windows;
  conclude(part);
  return part;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/session.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr uint32_t kUsualContext = 4096;
constexpr size_t kShortRun = 8;  // tokens, up to which a product is over before a thread wakes

// A burst for runs of few tokens.
class ShortRun {
 public:
  ShortRun(JobContext& job, size_t tokens) : m_job(job) {
    if (tokens <= kShortRun) m_job.beginBurst();
  }
  ~ShortRun() { m_job.endBurst(); }
  ShortRun(const ShortRun&) = delete;
  ShortRun& operator=(const ShortRun&) = delete;

 private:
  JobContext& m_job;
};

}  // namespace

Session::Session(const Variant& variant, KvCache cache, uint32_t batch)
    : m_forward(std::make_unique<Forward>(variant)), m_cache(std::move(cache)), m_batch(batch) {}

Result<Session> Session::create(const Variant& variant, const SessionOptions& options) {
  const Graph& graph = variant.graph();
  uint32_t length = options.contextLength;
  if (length == 0) length = std::min(graph.contextLength, kUsualContext);
  if (!KvCache::holds(graph, options.cache)) {
    return makeError(ErrorCode::InvalidArgument, variant.model().name(),
                     ": its keys and values are no multiple of 32 wide, so they cannot be kept in "
                     "8 bits.");
  }
  const uint32_t batch = std::max(1u, options.prefillBatch);
  return Session(variant, KvCache(graph, length, options.cache), batch);
}

void Session::truncate(uint32_t positions) {
  if (positions >= m_tokens.size()) return;
  m_tokens.resize(positions);
  m_cache.setSize(positions);
}

Result<std::vector<float>> Session::eval(std::span<const TokenId> tokens, JobContext& job) {
  Matrix logits;
  const auto step = [&](Matrix& stream, const Segment& segment, size_t first) -> Result<void> {
    std::vector<uint32_t> rows;
    if (first + segment.tokens == tokens.size()) rows.push_back(segment.tokens - 1);
    TRY(logits, m_forward->logits(stream, {&segment, 1}, rows, job));
    return {};
  };
  TRY(run(tokens, step, job));
  return std::move(logits.values);
}

Result<Matrix> Session::evalAll(std::span<const TokenId> tokens, JobContext& job) {
  Matrix logits(tokens.size(), m_forward->graph().vocabulary);
  const auto step = [&](Matrix& stream, const Segment& segment, size_t first) -> Result<void> {
    std::vector<uint32_t> rows(segment.tokens);
    std::iota(rows.begin(), rows.end(), 0u);
    TRY(const Matrix part, m_forward->logits(stream, {&segment, 1}, rows, job));
    std::copy(part.values.begin(), part.values.end(), logits.row(first));
    return {};
  };
  TRY(run(tokens, step, job));
  return logits;
}

Result<TopLogits> Session::top(std::span<const TokenId> tokens, size_t count, JobContext& job) {
  TopLogits top;
  const auto step = [&](Matrix& stream, const Segment& segment, size_t first) -> Result<void> {
    if (first + segment.tokens < tokens.size()) {
      TRY(m_forward->logits(stream, {&segment, 1}, {}, job));
    } else {
      TRY(top, m_forward->top(stream, {&segment, 1}, count, job));
    }
    return {};
  };
  TRY(run(tokens, step, job));
  return top;
}

const std::string& Session::note() const { return m_forward->note(); }

// When a device fails that held keys and values, the CPU computes all tokens again and goes on.
Result<void> Session::run(std::span<const TokenId> tokens, const Step& step, JobContext& job) {
  const bool wasOnDevice = m_cache.onDevice() != nullptr;
  auto done = append(tokens, step, job);
  if (done || !wasOnDevice || m_forward->note().empty()) return done;
  if (done.error().code == ErrorCode::Cancelled) return done;
  m_cache.onDevice().reset();
  m_cache.setSize(0);
  const std::vector<TokenId> before = std::exchange(m_tokens, {});
  const auto only = [&](Matrix& stream, const Segment& segment, size_t) -> Result<void> {
    TRY(m_forward->logits(stream, {&segment, 1}, {}, job));
    return {};
  };
  if (!before.empty()) TRY(append(before, only, job));
  return append(tokens, step, job);
}

// A batch counts only when all of it is done; after an error the session is as it was before.
Result<void> Session::append(std::span<const TokenId> tokens, const Step& step, JobContext& job) {
  const uint32_t before = m_cache.size();
  if (tokens.empty()) {
    return makeError(ErrorCode::InvalidArgument, "There are no tokens to evaluate.");
  }
  if (tokens.size() > m_cache.capacity() - before) {
    return makeError(ErrorCode::InvalidArgument, before, " tokens in the context and ",
                     tokens.size(), " more exceed the context length of ", m_cache.capacity(), ".");
  }
  std::optional<ShortRun> awake;
  if (!m_forward->usesDevice()) awake.emplace(job, tokens.size());
  const auto runBatch = [&](size_t first, uint32_t count) -> Result<void> {
    TRY(Matrix stream, m_forward->embed(tokens.subspan(first, count), job));
    const Segment segment{.tokens = count, .firstPosition = m_cache.size(), .cache = &m_cache};
    TRY(step(stream, segment, first));
    m_cache.setSize(m_cache.size() + count);
    return {};
  };
  for (size_t first = 0; first < tokens.size(); first += m_batch) {
    const auto count = static_cast<uint32_t>(std::min<size_t>(m_batch, tokens.size() - first));
    if (Result<void> done = runBatch(first, count); !done) {
      m_cache.setSize(before);
      return done;
    }
  }
  m_tokens.insert(m_tokens.end(), tokens.begin(), tokens.end());
  return {};
}

}  // namespace bitloom

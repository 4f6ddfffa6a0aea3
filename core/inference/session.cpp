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
  const uint32_t batch = std::max(1u, options.prefillBatch);
  return Session(variant, KvCache(graph, length, options.cache), batch);
}

void Session::truncate(uint32_t positions) {
  if (positions >= m_tokens.size()) return;
  m_tokens.resize(positions);
  m_cache.setSize(positions);
}

Result<std::vector<float>> Session::eval(std::span<const TokenId> tokens, JobContext& job) {
  TRY(Matrix logits, run(tokens, false, job));
  return std::move(logits.values);
}

Result<Matrix> Session::evalAll(std::span<const TokenId> tokens, JobContext& job) {
  return run(tokens, true, job);
}

const std::string& Session::note() const { return m_forward->note(); }

// When a device fails that held keys and values, the CPU computes all tokens again and goes on.
Result<Matrix> Session::run(std::span<const TokenId> tokens, bool all, JobContext& job) {
  const bool wasOnDevice = m_cache.onDevice() != nullptr;
  auto logits = append(tokens, all, job);
  if (logits || !wasOnDevice || m_forward->note().empty()) return logits;
  if (logits.error().code == ErrorCode::Cancelled) return logits;
  m_cache.onDevice().reset();
  m_cache.setSize(0);
  const std::vector<TokenId> before = std::exchange(m_tokens, {});
  if (!before.empty()) TRY(append(before, false, job));
  return append(tokens, all, job);
}

// A batch counts only when all of it is done; after an error the session is as it was before.
Result<Matrix> Session::append(std::span<const TokenId> tokens, bool all, JobContext& job) {
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
  Matrix logits(all ? tokens.size() : 1, m_forward->graph().vocabulary);
  const auto runBatch = [&](size_t first, uint32_t count) -> Result<void> {
    TRY(Matrix stream, m_forward->embed(tokens.subspan(first, count), job));
    const Segment segment{.tokens = count, .firstPosition = m_cache.size(), .cache = &m_cache};
    const bool last = first + count == tokens.size();
    std::vector<uint32_t> rows(all ? count : last ? 1 : 0);
    std::iota(rows.begin(), rows.end(), all ? 0u : count - 1);
    TRY(const Matrix part, m_forward->logits(stream, {&segment, 1}, rows, job));
    std::copy(part.values.begin(), part.values.end(), logits.row(all ? first : 0));
    m_cache.setSize(m_cache.size() + count);
    return {};
  };
  for (size_t first = 0; first < tokens.size(); first += m_batch) {
    const auto count = static_cast<uint32_t>(std::min<size_t>(m_batch, tokens.size() - first));
    if (Result<void> done = runBatch(first, count); !done) {
      m_cache.setSize(before);
      return std::move(done.error());
    }
  }
  m_tokens.insert(m_tokens.end(), tokens.begin(), tokens.end());
  return logits;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/chat.h"

#include <algorithm>
#include <chrono>

#include "core/base/strings.h"
#include "core/statistics.h"

namespace bitloom {
namespace {

constexpr size_t kShownTokens = 5;
constexpr size_t kRowsAtOnce = 32;  // of logits that are alive while two variants are compared

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The stream before the head after all tokens, from an empty context.
Result<Matrix> streamOf(Forward& forward, std::span<const TokenId> tokens, JobContext& job) {
  TRY(Matrix stream, forward.embed(tokens, job));
  const Segment whole{.tokens = static_cast<uint32_t>(tokens.size())};
  TRY(forward.blocks(0, static_cast<int>(forward.graph().blocks), stream, {&whole, 1}, job));
  return stream;
}

}  // namespace

Result<ChatAnswer> answer(const Variant& variant, const Tokenizer& tokenizer,
                          std::span<const TokenId> prompt, const ChatOptions& options,
                          const TokenSink& sink, JobContext& job) {
  Variant fast = variant.copy();
  if (variant.precision() != Precision::Exact) fast.setPrecision(Precision::Chat);
  TRY(Session session, Session::create(fast, {.cache = options.cache}));
  ChatAnswer result;
  result.promptTokens = static_cast<uint32_t>(prompt.size());
  result.cacheBytes = session.cacheBytes();
  job.begin(options.maxTokens, "tokens");
  const auto begin = Clock::now();
  Sampler sampler(options.sampler);
  const size_t wanted = std::max(sampler.wanted(variant.graph().vocabulary), kShownTokens);
  TRY(TopLogits likely, session.top(prompt, wanted, job));
  StreamingDetokenizer detokenizer(tokenizer);
  auto firstToken = Clock::now();
  while (result.tokens.size() < options.maxTokens) {
    const TokenId id = sampler.next(likely, session.tokens());
    if (result.tokens.empty()) {
      firstToken = Clock::now();
      result.firstTokenSeconds = secondsSince(begin);
    }
    if (tokenizer.endsTurn(id)) {
      result.ended = true;
      break;
    }
    ChatToken& token = result.tokens.emplace_back();
    token.id = id;
    token.text = detokenizer.push(id);
    token.top = topTokens(likely, kShownTokens);
    result.text += token.text;
    if (sink) sink(token);
    job.advance();
    const bool full = session.tokens().size() == session.contextLength();
    if (full || result.tokens.size() == options.maxTokens) break;
    TRY(likely, session.top({&id, 1}, wanted, job));
  }
  const std::string rest = detokenizer.finish();
  if (!result.tokens.empty()) result.tokens.back().text += rest;
  result.text += rest;
  result.onDevice = session.usesDevice();
  result.note = session.note();
  const double seconds = secondsSince(firstToken);
  if (result.tokens.size() > 1 && seconds > 0) {
    result.tokensPerSecond = double(result.tokens.size() - 1) / seconds;
  }
  return result;
}

Result<std::vector<ChatToken>> compareForced(const Variant& reference, const Variant& variant,
                                             const Tokenizer& tokenizer,
                                             std::span<const TokenId> prompt,
                                             std::span<const TokenId> continuation,
                                             JobContext& job) {
  std::vector<ChatToken> result;
  if (continuation.empty()) return result;
  if (prompt.empty()) {
    return makeError(ErrorCode::InvalidArgument,
                     "A comparison needs a prompt of one token at "
                     "least.");
  }
  if (reference.graph().vocabulary != variant.graph().vocabulary) {
    return makeError(ErrorCode::InvalidArgument, reference.model().name(), " has ",
                     reference.graph().vocabulary, " tokens and ", variant.model().name(), " has ",
                     variant.graph().vocabulary, ", so their answers cannot be compared.");
  }
  std::vector<TokenId> tokens(prompt.begin(), prompt.end());
  tokens.insert(tokens.end(), continuation.begin(), continuation.end() - 1);
  Forward first(reference);
  Forward second(variant);
  TRY(const Matrix firstStream, streamOf(first, tokens, job));
  TRY(const Matrix secondStream, streamOf(second, tokens, job));

  StreamingDetokenizer detokenizer(tokenizer);
  while (result.size() < continuation.size()) {
    std::vector<uint32_t> rows(std::min(kRowsAtOnce, continuation.size() - result.size()));
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i] = static_cast<uint32_t>(prompt.size() - 1 + result.size() + i);
    }
    TRY(const Matrix expected, first.head(firstStream, rows, job));
    TRY(const Matrix actual, second.head(secondStream, rows, job));
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::span<const float> p(expected.row(i), expected.cols);
      const std::span<const float> q(actual.row(i), actual.cols);
      const TokenId id = continuation[result.size()];
      result.push_back({.id = id,
                        .text = detokenizer.push(id),
                        .top = topTokens(q, kShownTokens),
                        .kld = klDivergence(p, q),
                        .referenceTop = topTokens(p, kShownTokens)});
    }
  }
  result.back().text += detokenizer.finish();
  return result;
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// One conversation with a variant: its cache and the tokens in it. Used from one thread at a time.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/inference/forward.h"
#include "core/inference/sampler.h"

namespace bitloom {

struct SessionOptions {
  uint32_t contextLength = 0;  // 0: what the model was trained with, at most 4096
  KvFormat cache = KvFormat::F16;
  uint32_t prefillBatch = 512;  // tokens that are processed together
};

class Session {
 public:
  static Result<Session> create(const Variant& variant, const SessionOptions& options = {});

  // Appends tokens; returns the logits after the last (vocabulary floats). An error when the
  // context is full names the limit.
  Result<std::vector<float>> eval(std::span<const TokenId> tokens, JobContext& job);
  // Appends tokens; returns logits after every one: tokens × vocabulary.
  Result<Matrix> evalAll(std::span<const TokenId> tokens, JobContext& job);
  // Appends tokens; the `count` likeliest to come next. Cheaper than all logits.
  Result<TopLogits> top(std::span<const TokenId> tokens, size_t count, JobContext& job);

  std::span<const TokenId> tokens() const { return m_tokens; }
  void truncate(uint32_t positions);  // forgets everything from there on
  uint32_t contextLength() const { return m_cache.capacity(); }
  uint64_t cacheBytes() const { return m_cache.bytes(); }
  bool usesDevice() const { return m_forward->usesDevice(); }
  // Why the variant's backend does not compute all of it; empty else (Forward::note).
  const std::string& note() const;

 private:
  Session(const Variant& variant, KvCache cache, uint32_t batch);
  // What is done with a batch of tokens, `first` of them before it.
  using Step = std::function<Result<void>(Matrix& stream, const Segment& segment, size_t first)>;
  Result<void> run(std::span<const TokenId> tokens, const Step& step, JobContext& job);
  Result<void> append(std::span<const TokenId> tokens, const Step& step, JobContext& job);
  std::unique_ptr<Forward> m_forward;
  KvCache m_cache;
  uint32_t m_batch;
  std::vector<TokenId> m_tokens;
};

}  // namespace bitloom

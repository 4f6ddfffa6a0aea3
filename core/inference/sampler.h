// SPDX-License-Identifier: GPL-3.0-or-later
// Chooses the next token from logits. Deterministic for a seed on every machine.
// Order: repetition penalty → top-k → top-p → min-p → temperature → draw; temperature 0 is greedy
// (lowest id wins a tie).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/inference/tokenizer.h"

namespace bitloom {

struct SamplerOptions {
  double temperature = 0.8;        // 0: greedy
  int topK = 40;                   // 0: off
  double topP = 0.95;              // 1: off
  double minP = 0.05;              // 0: off
  double repetitionPenalty = 1.0;  // 1: off
  int repetitionWindow = 64;       // last tokens that are penalised
  uint64_t seed = 42;
};

// The likeliest next tokens, likeliest first, the lower id of equals; never empty. A logit that is
// no number counts as −∞.
struct TopLogits {
  std::vector<TokenId> ids;
  std::vector<float> logits;
  double logSum = 0;  // log Σ e^logit over the whole vocabulary
};
TopLogits topLogits(std::span<const float> logits, size_t count);

class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);
  // How many of the likeliest tokens `next` has to know.
  size_t wanted(size_t vocabulary) const;
  // `history`: the tokens so far, prompt included.
  TokenId next(const TopLogits& top, std::span<const TokenId> history);

 private:
  SamplerOptions m_options;
  uint64_t m_state;
};

TokenId argMax(std::span<const float> logits);

struct TokenProbability {
  TokenId id = 0;
  double probability = 0;
};
// The `count` likeliest tokens, likeliest first, by softmax in f64.
std::vector<TokenProbability> topTokens(const TopLogits& top, size_t count);
std::vector<TokenProbability> topTokens(std::span<const float> logits, size_t count);

}  // namespace bitloom

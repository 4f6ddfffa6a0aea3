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

class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);
  // `logits`: vocabulary floats. `history`: the tokens so far, prompt included.
  TokenId next(std::span<const float> logits, std::span<const TokenId> history);

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
std::vector<TokenProbability> topTokens(std::span<const float> logits, size_t count);

}  // namespace bitloom

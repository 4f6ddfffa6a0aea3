// SPDX-License-Identifier: GPL-3.0-or-later
// Proof on text: perplexity by the llama.cpp procedure (windows of `contextLength` tokens from an
// empty cache, the second half scored, BOS put first when the vocabulary asks for it) and the
// divergence from a reference: mean, 99 %, 99.9 % and maximal KLD, share of equal top tokens. What
// every scored token cost is kept, so that variants can be compared token by token.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/job.h"
#include "core/inference/forward.h"
#include "core/statistics.h"

namespace bitloom {

struct EvaluateOptions {
  uint32_t contextLength = 512;
  uint32_t maxChunks = 0;  // 0: the whole text
};

// Windows are the independent samples; intervals are 95 % over window means (statistics.h), NaN for
// fewer than two windows. Nats throughout.
struct Evaluation {
  double perplexity = 0;
  double perplexityError = 0;   // PPL·√(var(nll)/(n−1)) over tokens, as llama.cpp prints
  Interval perplexityInterval;  // that of ln PPL, raised
  uint64_t tokens = 0;          // scored
  uint32_t windows = 0;
  bool hasReference = false;
  Estimate kld;
  Interval kldInterval;
  double kldP99 = 0, kldP999 = 0, kldMax = 0;
  Estimate sameTop;  // share 0 … 1; where the reference's largest logits are equal, any of them
  Interval sameTopInterval;
  uint64_t tiedTops = 0;  // scored tokens where the reference's two largest logits are equal
  std::vector<double> windowNll, windowKld, windowSame;  // mean of each window
  // [tokens], in the order of the text; tokenKld and tokenSame are empty without a reference.
  std::vector<float> tokenNll, tokenKld;
  std::vector<uint8_t> tokenSame;  // bit 0: same top; bit 1: the reference's top is tied
  double seconds = 0;
};

// Windows of a text, ready to be evaluated by any number of variants on exactly the same tokens.
struct Windows {
  std::vector<TokenId> tokens;  // windows × contextLength
  uint32_t contextLength = 0;
  uint32_t firstScored = 0;  // logits at firstScored … contextLength−2 are scored
  uint32_t count() const { return uint32_t(tokens.size() / contextLength); }
};
Result<Windows> makeWindows(const Tokenizer& tokenizer, const std::string& text,
                            const EvaluateOptions& options, const std::string& nameForErrors);

// The reference runs window by window beside the variant: nothing large is kept. `reference` may
// be null: perplexity only.
Result<Evaluation> evaluate(const Variant& variant, const Variant* reference,
                            const Windows& windows, JobContext& job);
// Several variants against one reference in one pass: the reference is computed once.
Result<std::vector<Evaluation>> evaluateAll(std::span<const Variant* const> variants,
                                            const Variant* reference, const Windows& windows,
                                            JobContext& job);

// Windows [first, first + count) of an evaluation, as if they alone had been evaluated (but for
// `seconds`, which is shared out by tokens).
Evaluation partOf(const Evaluation& whole, uint32_t first, uint32_t count);

}  // namespace bitloom

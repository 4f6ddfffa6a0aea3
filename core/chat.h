// SPDX-License-Identifier: GPL-3.0-or-later
// One answer, streamed: template, sampling, timing, and (for the second column) how far each
// token's distribution lies from the reference's.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/inference/chat_template.h"
#include "core/inference/session.h"

namespace bitloom {

struct ChatOptions {
  SamplerOptions sampler;
  uint32_t maxTokens = 256;
  KvFormat cache = KvFormat::F16;  // of keys and values
};

struct ChatToken {
  TokenId id = 0;
  std::string text;                   // may be empty while a character is incomplete
  std::vector<TokenProbability> top;  // five likeliest, likeliest first
  double kld = -1;  // nats against the reference at this position; −1: not compared
  std::vector<TokenProbability> referenceTop;
};

struct ChatAnswer {
  std::vector<ChatToken> tokens;
  std::string text;
  bool ended = false;            // the model ended its turn (else maxTokens or context)
  double firstTokenSeconds = 0;  // prompt processing
  double tokensPerSecond = 0;    // after the first token
  uint32_t promptTokens = 0;
  uint64_t cacheBytes = 0;
  bool onDevice = false;  // computed on the variant's backend, to the end
  std::string note;       // why not all of it was; empty else
};

using TokenSink = std::function<void(const ChatToken&)>;

// Answers a prompt of token ids. `sink` is called for each token on the job's thread.
Result<ChatAnswer> answer(const Variant& variant, const Tokenizer& tokenizer,
                          std::span<const TokenId> prompt, const ChatOptions& options,
                          const TokenSink& sink, JobContext& job);

// Scores `continuation` with both: per position the KL and both top-5 lists (the *forced* view, and
// the tints of a streamed answer).
Result<std::vector<ChatToken>> compareForced(const Variant& reference, const Variant& variant,
                                             const Tokenizer& tokenizer,
                                             std::span<const TokenId> prompt,
                                             std::span<const TokenId> continuation,
                                             JobContext& job);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// The measured answer to a drag: ΔKLD of the current variant against the reference on a short probe
// text of independent sequences. The reference's logits and, for the current variant, the states at
// all block borders are kept; a change at block k recomputes blocks ≥ k only. The scan uses the
// same path, one tensor × one codec at a time, starting from the reference's own states.
// Used from one thread at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/job.h"
#include "core/evaluate.h"
#include "core/inference/sampler.h"

namespace bitloom {

struct ProbeOptions {
  uint32_t sequences = 16;
  uint32_t tokens = 32;      // of each sequence
  uint32_t firstScored = 8;  // positions before it are context only
  // Above 0, a tensor's measurement ends with fewer sequences as soon as half the width of its 95 %
  // interval is at most this share of its value. Whoever looks often is sure too early now and
  // then: README gives how often the interval holds.
  double tolerance = 0;
};

struct ProbeResult {
  Estimate kld;                             // over sequences, nats per token
  std::vector<double> sequenceKld;          // of each sequence measured, for paired differences
  std::vector<TokenProbability> reference;  // likeliest next tokens after the first sequence
  std::vector<TokenProbability> variant;    // the same tokens' probabilities in the variant
  int firstBlock = 0;                       // recomputation began here
  double seconds = 0;
};

class LiveLoop {
 public:
  // Runs the reference once over the probe; several seconds on a large model. `reference` is
  // borrowed. The tokens are sequences laid end to end.
  static Result<std::unique_ptr<LiveLoop>> create(const Variant& reference,
                                                  std::vector<TokenId> tokens,
                                                  const ProbeOptions& options, JobContext& job);
  ~LiveLoop();

  // Measures `variant` (same model). Only blocks from the first one whose tensors differ from the
  // last call's are computed.
  Result<ProbeResult> measure(const Variant& variant, JobContext& job);

  // ΔKLD of the reference with this one tensor encoded by `codec` and `method`.
  Result<ProbeResult> measureTensor(size_t tensor, const Codec& codec, const Method& method,
                                    const Calibration* calibration, JobContext& job);

  const ProbeOptions& options() const;
  uint64_t bytes() const;  // of kept states and logits

 private:
  struct State;
  explicit LiveLoop(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

// Sequences of a text as a probe, spread evenly over it; with a tolerance in an order in which the
// first ones of them are so too.
Result<std::vector<TokenId>> probeTokens(const Tokenizer& tokenizer, const std::string& text,
                                         const ProbeOptions& options);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "core/base/random.h"

namespace bitloom {
namespace {

struct Candidate {
  TokenId id;
  double logit;
  double probability = 0;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// A logit that is no number is never chosen.
double usable(float logit) {
  return std::isnan(logit) ? -std::numeric_limits<double>::infinity() : double(logit);
}

// Probabilities of candidates in descending order of their logits.
void softmax(std::vector<Candidate>& candidates, double temperature) {
  const double top = candidates.front().logit;
  double sum = 0;
  for (Candidate& candidate : candidates) {
    // −∞ − −∞ is no number; equal logits have equal chances.
    const double distance = candidate.logit == top ? 0 : candidate.logit - top;
    candidate.probability = std::exp(distance / temperature);
    sum += candidate.probability;
  }
  for (Candidate& candidate : candidates) candidate.probability /= sum;
}

void penalise(std::vector<Candidate>& candidates, std::span<const TokenId> history,
              const SamplerOptions& options) {
  if (options.repetitionPenalty == 1.0 || options.repetitionWindow <= 0) return;
  const size_t window = std::min(history.size(), size_t(options.repetitionWindow));
  const auto recent = history.last(window);
  const std::unordered_set<TokenId> seen(recent.begin(), recent.end());
  for (const TokenId id : seen) {
    if (id < 0 || size_t(id) >= candidates.size()) continue;
    double& logit = candidates[size_t(id)].logit;
    logit = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty;
  }
}

// Keeps the likeliest `count`, in descending order.
void keepTop(std::vector<Candidate>& candidates, size_t count) {
  count = std::min(count, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + std::ptrdiff_t(count),
                    candidates.end(), likelier);
  candidates.resize(count);
}

// The shortest front whose probabilities sum to `topP`, then those with at least `minP` of the
// best.
void keepLikely(std::vector<Candidate>& candidates, double topP, double minP) {
  softmax(candidates, 1);
  size_t kept = candidates.size();
  if (topP < 1) {
    double sum = 0;
    for (kept = 0; kept < candidates.size() && (kept == 0 || sum < topP); ++kept) {
      sum += candidates[kept].probability;
    }
  }
  const double least = minP > 0 ? minP * candidates.front().probability : 0;
  while (kept > 1 && candidates[kept - 1].probability < least) --kept;
  candidates.resize(kept);
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options) : m_options(options), m_state(options.seed) {}

TokenId Sampler::next(std::span<const float> logits, std::span<const TokenId> history) {
  CHECK(!logits.empty());
  std::vector<Candidate> candidates(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates[i] = {TokenId(i), usable(logits[i])};
  penalise(candidates, history, m_options);
  if (!(m_options.temperature > 0)) {
    return std::min_element(candidates.begin(), candidates.end(), likelier)->id;
  }
  keepTop(candidates, m_options.topK > 0 ? size_t(m_options.topK) : candidates.size());
  keepLikely(candidates, m_options.topP, m_options.minP);
  softmax(candidates, m_options.temperature);
  double rest = nextUniform(m_state);
  for (const Candidate& candidate : candidates) {
    rest -= candidate.probability;
    if (rest < 0) return candidate.id;
  }
  return candidates.back().id;
}

TokenId argMax(std::span<const float> logits) {
  CHECK(!logits.empty());
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i) {
    if (usable(logits[i]) > usable(logits[best])) best = i;
  }
  return TokenId(best);
}

std::vector<TokenProbability> topTokens(std::span<const float> logits, size_t count) {
  std::vector<TokenProbability> result;
  if (logits.empty()) return result;
  const double top = usable(logits[size_t(argMax(logits))]);
  std::vector<Candidate> candidates(logits.size());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double logit = usable(logits[i]);
    candidates[i] = {TokenId(i), logit, logit == top ? 1.0 : std::exp(logit - top)};
    sum += candidates[i].probability;
  }
  keepTop(candidates, count);
  result.reserve(candidates.size());
  for (const Candidate& candidate : candidates) {
    result.push_back({candidate.id, candidate.probability / sum});
  }
  return result;
}

}  // namespace bitloom

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
  const size_t window = std::min(history.size(), size_t(options.repetitionWindow));
  const auto recent = history.last(window);
  const std::unordered_set<TokenId> seen(recent.begin(), recent.end());
  for (auto& [id, logit, probability] : candidates) {
    if (!seen.contains(id)) continue;
    logit = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty;
  }
}

bool penalises(const SamplerOptions& options) {
  return options.repetitionPenalty != 1.0 && options.repetitionWindow > 0;
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

size_t Sampler::wanted(size_t vocabulary) const {
  if (penalises(m_options)) return vocabulary;
  if (!(m_options.temperature > 0)) return 1;
  return m_options.topK > 0 ? std::min(vocabulary, size_t(m_options.topK)) : vocabulary;
}

TokenId Sampler::next(const TopLogits& top, std::span<const TokenId> history) {
  CHECK(!top.ids.empty() && top.ids.size() == top.logits.size());
  std::vector<Candidate> candidates;
  candidates.reserve(top.ids.size());
  for (size_t i = 0; i < top.ids.size(); ++i) candidates.push_back({top.ids[i], top.logits[i]});
  if (penalises(m_options)) penalise(candidates, history, m_options);
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

TopLogits topLogits(std::span<const float> logits, size_t count) {
  CHECK(!logits.empty() && count > 0);
  const double largest = usable(logits[size_t(argMax(logits))]);
  std::vector<Candidate> candidates(logits.size());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double logit = usable(logits[i]);
    candidates[i] = {TokenId(i), logit};
    sum += logit == largest ? 1.0 : std::exp(logit - largest);
  }
  keepTop(candidates, count);
  TopLogits top{.ids = {}, .logits = {}, .logSum = largest + std::log(sum)};
  for (const Candidate& candidate : candidates) {
    top.ids.push_back(candidate.id);
    top.logits.push_back(float(candidate.logit));
  }
  return top;
}

std::vector<TokenProbability> topTokens(const TopLogits& top, size_t count) {
  std::vector<TokenProbability> result;
  for (size_t i = 0; i < std::min(count, top.ids.size()); ++i) {
    const double logit = double(top.logits[i]);
    result.push_back({top.ids[i], std::isinf(logit) ? 0.0 : std::exp(logit - top.logSum)});
  }
  return result;
}

std::vector<TokenProbability> topTokens(std::span<const float> logits, size_t count) {
  if (logits.empty() || count == 0) return {};
  return topTokens(topLogits(logits, count), count);
}

}  // namespace bitloom

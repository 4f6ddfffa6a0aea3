// SPDX-License-Identifier: GPL-3.0-or-later
// Alternatives run in batches, laid end to end; the head sees only the rows that predict a token of
// a continuation, a slab at a time.
#include "core/multiple_choice.h"

#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/inference/forward.h"

namespace bitloom {
namespace {

constexpr size_t kBatchTokens = 2048;
constexpr size_t kSlabBytes = size_t{32} << 20;  // of logits alive at once

// One alternative as tokens: those from `firstScored` on are the continuation.
struct Sequence {
  size_t item = 0, alternative = 0;
  std::vector<TokenId> tokens;
  size_t firstScored = 0;  // at least 1
};

std::optional<TokenId> leader(const Tokenizer& tokenizer) {
  return tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
}

Result<Sequence> tokenized(const Tokenizer& tokenizer, const Alternative& alternative,
                           uint32_t contextLength, const std::string& place) {
  // Blanks at the end of the context would be tokens of their own, which no text has there.
  size_t end = alternative.context.find_last_not_of(" \t\r\n");
  end = end == std::string::npos ? 0 : end + 1;
  const std::string context = alternative.context.substr(0, end);
  Sequence sequence;
  sequence.tokens = tokenizer.encodeWithBos(alternative.context + alternative.continuation, false);
  sequence.firstScored =
      context.empty() && !tokenizer.addsBos() ? 0 : tokenizer.encodeWithBos(context, false).size();
  if (sequence.firstScored == 0) {
    const auto first = leader(tokenizer);
    if (!first) {
      return makeError(ErrorCode::InvalidArgument, place,
                       ": has no context, and this vocabulary no token to begin a text with.");
    }
    sequence.tokens.insert(sequence.tokens.begin(), *first);
    sequence.firstScored = 1;
  }
  if (sequence.tokens.size() <= sequence.firstScored) {
    return makeError(ErrorCode::InvalidArgument, place, ": a choice adds no token to the context.");
  }
  if (sequence.tokens.size() > contextLength) {
    const size_t cut = sequence.tokens.size() - contextLength;
    if (cut >= sequence.firstScored) {
      return makeError(ErrorCode::InvalidArgument, place, ": a choice of ",
                       sequence.tokens.size() - sequence.firstScored,
                       " tokens does not fit the model's context of ", contextLength, ".");
    }
    sequence.tokens.erase(sequence.tokens.begin(), sequence.tokens.begin() + std::ptrdiff_t(cut));
    sequence.firstScored -= cut;
  }
  return sequence;
}

Result<std::vector<Sequence>> tokenizeTask(const Tokenizer& tokenizer, const ChoiceTask& task,
                                           uint32_t contextLength) {
  std::vector<Sequence> sequences;
  for (size_t i = 0; i < task.items.size(); ++i) {
    const ChoiceItem& item = task.items[i];
    for (size_t a = 0; a < item.alternatives.size(); ++a) {
      TRY(auto sequence, tokenized(tokenizer, item.alternatives[a], contextLength,
                                   strCat(task.name, " line ", item.line)));
      sequence.item = i;
      sequence.alternative = a;
      sequences.push_back(std::move(sequence));
    }
  }
  return sequences;
}

// A batch of sequences laid end to end, and the rows that predict a token of a continuation.
struct ChoiceBatch {
  std::vector<TokenId> tokens;
  std::vector<Segment> segments;
  std::vector<uint32_t> rows;
  std::vector<const Sequence*> owners;  // of each row
};

ChoiceBatch makeBatch(std::span<const Sequence> sequences) {
  ChoiceBatch batch;
  for (const Sequence& sequence : sequences) {
    const size_t base = batch.tokens.size();
    batch.tokens.insert(batch.tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
    batch.segments.push_back({.tokens = uint32_t(sequence.tokens.size())});
    for (size_t i = sequence.firstScored; i < sequence.tokens.size(); ++i) {
      batch.rows.push_back(uint32_t(base + i - 1));
      batch.owners.push_back(&sequence);
    }
  }
  return batch;
}

Result<void> scoreBatch(Forward& forward, const ChoiceBatch& batch, const ChoiceTask& task,
                        ChoiceScores& scores, JobContext& job) {
  TRY(Matrix stream, forward.embed(batch.tokens, job));
  TRY(forward.blocks(0, int(forward.graph().blocks), stream, batch.segments, job));
  const size_t slab = std::max<size_t>(1, kSlabBytes / sizeof(float) / forward.graph().vocabulary);
  for (size_t begin = 0; begin < batch.rows.size(); begin += slab) {
    TRY(job.checkpoint());
    const auto rows =
        std::span(batch.rows).subspan(begin, std::min(slab, batch.rows.size() - begin));
    TRY(const Matrix logits, forward.head(stream, rows, job));
    std::vector<double> gains(rows.size());
    job.parallelFor(rows.size(), 1, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) {
        const LogitRow row = logitRow({logits.row(i), logits.cols});
        gains[i] = double(row.logits[size_t(batch.tokens[rows[i] + 1])]) - row.logSum;
      }
    });
    for (size_t i = 0; i < rows.size(); ++i) {
      const Sequence& owner = *batch.owners[begin + i];
      if (!std::isfinite(gains[i])) {
        return makeError(ErrorCode::Corrupt, task.name, " line ", task.items[owner.item].line,
                         ": the logits are not finite; a weight is NaN or too large.");
      }
      scores[owner.item][owner.alternative] += gains[i];
    }
  }
  return {};
}

// P(X ≤ k) for n fair coins, k < n/2.
double coinTail(uint32_t n, uint32_t k) {
  double sum = 0;
  for (uint32_t i = 0; i <= k; ++i) {
    sum += std::exp(std::lgamma(n + 1.0) - std::lgamma(i + 1.0) - std::lgamma(n - i + 1.0) -
                    n * std::log(2.0));
  }
  return sum;
}

Share shareOf(std::vector<uint8_t> right) {
  Share share;
  const double n = double(right.size());
  share.value = double(std::count(right.begin(), right.end(), 1)) / n;
  share.error = std::sqrt(share.value * (1 - share.value) / n);
  share.right = std::move(right);
  return share;
}

}  // namespace

Result<ChoiceScores> scoreChoices(const Variant& variant, const Tokenizer& tokenizer,
                                  const ChoiceTask& task, JobContext& job) {
  TRY(const auto sequences, tokenizeTask(tokenizer, task, variant.graph().contextLength));
  ChoiceScores scores;
  for (const ChoiceItem& item : task.items) scores.emplace_back(item.alternatives.size(), 0.0);
  job.begin(sequences.size(), "choices");
  Forward forward(variant);
  for (size_t begin = 0; begin < sequences.size();) {
    size_t end = begin;
    size_t tokens = 0;
    while (end < sequences.size() &&
           (end == begin || tokens + sequences[end].tokens.size() <= kBatchTokens)) {
      tokens += sequences[end++].tokens.size();
    }
    TRY(job.checkpoint());
    const auto part = std::span(sequences).subspan(begin, end - begin);
    TRY(scoreBatch(forward, makeBatch(part), task, scores, job));
    job.advance(part.size());
    begin = end;
  }
  return scores;
}

ChoiceResult judge(const ChoiceTask& task, const ChoiceScores& scores) {
  CHECK(!task.items.empty() && scores.size() == task.items.size());
  std::vector<uint8_t> plain, perCharacter;
  ChoiceResult result;
  for (size_t i = 0; i < scores.size(); ++i) {
    const ChoiceItem& item = task.items[i];
    std::vector<double> normed = scores[i];
    for (size_t a = 0; a < normed.size(); ++a) normed[a] /= item.alternatives[a].characters;
    const auto isRight = [&](const std::vector<double>& sums) {
      return size_t(std::max_element(sums.begin(), sums.end()) - sums.begin()) == item.answer;
    };
    plain.push_back(isRight(scores[i]) ? 1 : 0);
    perCharacter.push_back(isRight(normed) ? 1 : 0);
    const double best = *std::max_element(scores[i].begin(), scores[i].end());
    result.ties += std::count(scores[i].begin(), scores[i].end(), best) > 1 ? 1 : 0;
  }
  result.items = uint32_t(scores.size());
  result.acc = shareOf(std::move(plain));
  result.accNorm = shareOf(std::move(perCharacter));
  return result;
}

Flips compareShares(const Share& first, const Share& second) {
  CHECK(first.right.size() == second.right.size());
  Flips flips;
  std::vector<double> differences;
  for (size_t i = 0; i < first.right.size(); ++i) {
    differences.push_back(double(first.right[i]) - double(second.right[i]));
    flips.gained += differences.back() > 0 ? 1 : 0;
    flips.lost += differences.back() < 0 ? 1 : 0;
  }
  flips.difference = estimate(differences).mean;
  flips.interval = meanInterval95(differences);
  const uint32_t changed = flips.gained + flips.lost;
  const uint32_t fewer = std::min(flips.gained, flips.lost);
  if (flips.gained != flips.lost) flips.probability = std::min(1.0, 2 * coinTail(changed, fewer));
  flips.tie = flips.probability >= 0.05;
  return flips;
}

}  // namespace bitloom

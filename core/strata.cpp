// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/strata.h"

#include <set>

#include "core/base/strings.h"
#include "core/builtin.h"

namespace bitloom {
namespace {

// Books of the built-in text lie in this order, two blank lines between them.
constexpr const char* kBooks[] = {"The Time Machine", "Just So Stories", "Sherlock Holmes"};

}  // namespace

Result<std::vector<NamedText>> builtinStrata() {
  TRY(const auto path, builtinEvaluationText());
  TRY(const std::string whole, readText(path));
  std::vector<NamedText> books;
  size_t begin = 0;
  for (const char* name : kBooks) {
    const size_t end = whole.find("\n\n\n", begin);
    books.push_back({name, whole.substr(begin, end - begin)});
    if (end == std::string::npos) break;
    begin = end + 3;
  }
  if (books.size() != std::size(kBooks)) {
    return makeError(ErrorCode::Corrupt, path.string(), ": holds ", books.size(), " texts, not ",
                     std::size(kBooks), ".");
  }
  return books;
}

Result<StrataWindows> makeStrata(const Tokenizer& tokenizer, std::span<const NamedText> texts,
                                 const EvaluateOptions& options, Sampling sampling) {
  if (texts.empty()) return makeError(ErrorCode::InvalidArgument, "There is no text to evaluate.");
  StrataWindows result;
  std::set<std::string> names;
  for (const NamedText& text : texts) {
    if (!names.insert(text.name).second) {
      return makeError(ErrorCode::InvalidArgument, "Two texts are called \"", text.name,
                       "\"; give each a name of its own, as in code=FILE.");
    }
    EvaluateOptions wanted = options;
    if (sampling == Sampling::Spread) wanted.maxChunks = 0;
    TRY(Windows windows, makeWindows(tokenizer, text.text, wanted, text.name));
    if (sampling == Sampling::Spread) windows = spreadWindows(windows, options.maxChunks);
    result.strata.push_back({text.name,
                             result.windows.contextLength == 0 ? 0 : result.windows.count(),
                             windows.count()});
    result.windows.contextLength = windows.contextLength;
    result.windows.firstScored = windows.firstScored;
    result.windows.tokens.insert(result.windows.tokens.end(), windows.tokens.begin(),
                                 windows.tokens.end());
  }
  return result;
}

Windows spreadWindows(const Windows& all, uint32_t count) {
  const uint64_t total = all.count();
  if (count == 0 || count >= total) return all;
  Windows spread = all;
  spread.tokens.clear();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t window = (2 * i + 1) * total / (2 * uint64_t(count));
    const auto begin = all.tokens.begin() + std::ptrdiff_t(window * all.contextLength);
    spread.tokens.insert(spread.tokens.end(), begin, begin + all.contextLength);
  }
  return spread;
}

std::vector<StratumResult> byStratum(const Evaluation& whole, std::span<const Stratum> strata) {
  std::vector<StratumResult> results;
  for (const Stratum& stratum : strata) {
    results.push_back({stratum.name, partOf(whole, stratum.firstWindow, stratum.windows)});
  }
  return results;
}

std::optional<WorstStratum> worstStratum(std::span<const StratumResult> results) {
  if (results.size() < 2 || !results.front().evaluation.hasReference) return std::nullopt;
  const auto mean = [&](size_t i) { return results[i].evaluation.kld.mean; };
  WorstStratum worst;
  for (size_t i = 1; i < results.size(); ++i) {
    if (mean(i) > mean(worst.index)) worst.index = i;
  }
  const Interval& own = results[worst.index].evaluation.kldInterval;
  for (size_t i = 0; i < results.size(); ++i) {
    // Not below it in any direction that the noise allows: NaN intervals (one window) tie.
    const bool apart = results[i].evaluation.kldInterval.high < own.low;
    if (i != worst.index && !apart) worst.tied = true;
  }
  return worst;
}

}  // namespace bitloom

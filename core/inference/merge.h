// SPDX-License-Identifier: GPL-3.0-or-later
// What byte-level BPE and SPM share: joining neighbouring symbols best first, and not doing the
// same word twice. Private to the tokenizer.
#pragma once
#include <cstdint>
#include <queue>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/inference/tokenizer.h"

namespace bitloom {

constexpr TokenId kNoToken = -1;

// A piece of a word: `length` bytes from `begin`; 0 once it has been joined to its left neighbour.
struct Symbol {
  uint32_t begin = 0;
  uint32_t length = 0;
  int32_t previous = -1;
  int32_t next = -1;
  TokenId id = kNoToken;
};

struct Join {
  double order = 0;  // lowest first; of equal ones the leftmost
  TokenId id = kNoToken;
};

// `symbols` lie in text order. `lookup(left, right, join)` says whether two neighbours can be
// joined. O(n log n). Survivors are linked by `next`, from index 0.
template <typename Lookup>
void joinSymbols(std::vector<Symbol>& symbols, const Lookup& lookup) {
  struct Candidate {
    Join join;
    int32_t left, right;
    uint32_t length;
    bool operator<(const Candidate& other) const {
      return join.order != other.join.order ? join.order > other.join.order : left > other.left;
    }
  };
  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const Symbol& a = symbols[size_t(left)];
    const Symbol& b = symbols[size_t(right)];
    Candidate candidate{{}, left, right, a.length + b.length};
    if (lookup(a, b, candidate.join)) queue.push(candidate);
  };

  for (size_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = int32_t(i) - 1;
    symbols[i].next = i + 1 < symbols.size() ? int32_t(i) + 1 : -1;
    consider(symbols[i].previous, int32_t(i));
  }
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[size_t(best.left)];
    Symbol& right = symbols[size_t(best.right)];
    const bool stale = left.length == 0 || right.length == 0 || left.next != best.right ||
                       left.length + right.length != best.length;
    if (stale) continue;
    left.length = best.length;
    left.id = best.join.id;
    left.next = right.next;
    right.length = 0;
    if (left.next >= 0) symbols[size_t(left.next)].previous = best.left;
    consider(left.previous, best.left);
    consider(best.left, left.next);
  }
}

// Remembers, for one text, where in the output the ids of a word already stand.
class WordCache {
 public:
  // `encode(word, out)` appends the ids of a word; `out` is only ever appended to.
  template <typename Encode>
  void append(std::string_view word, std::vector<TokenId>& out, const Encode& encode) {
    if (word.size() > kLongest) {
      encode(word, out);
      return;
    }
    const auto [entry, isNew] = m_places.try_emplace(word, Place{out.size(), 0});
    if (isNew) {
      encode(word, out);
      entry->second.count = out.size() - entry->second.begin;
      return;
    }
    for (size_t i = 0; i < entry->second.count; ++i) out.push_back(out[entry->second.begin + i]);
  }

 private:
  static constexpr size_t kLongest = 64;
  struct Place {
    size_t begin, count;
  };
  std::unordered_map<std::string_view, Place> m_places;
};

}  // namespace bitloom

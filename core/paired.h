// SPDX-License-Identifier: GPL-3.0-or-later
// Two variants on the same windows. What the windows do to both cancels, so that differences are
// far sharper than the two intervals beside each other; a difference inside the noise is a tie.
#pragma once
#include "core/evaluate.h"

namespace bitloom {

struct PairedFigure {
  double value = 0;
  Interval interval;  // 95 %, over windows
  bool tie = false;   // the interval holds "no difference" (0, or 1 for a ratio), or is unknown
};

// First minus second, first divided by second. Without a reference only `perplexityRatio` is known;
// the rest is zero and says tie.
struct PairedComparison {
  PairedFigure kldDifference;  // nats per token
  PairedFigure kldRatio;       // ties exactly where the difference does
  PairedFigure perplexityRatio;
  PairedFigure sameTopDifference;  // of shares, −1 … 1
};

// Both were evaluated on the same windows: `windows` and `tokens` are equal.
PairedComparison comparePaired(const Evaluation& first, const Evaluation& second);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Softmax statistics of whole vocabularies in explicit vectors of kLanes floats. A lane's partial
// sum is f32 over at most kRun / kLanes positive terms and is then added in f64, so that rounding
// stays near one ulp of f32; the order of additions is fixed, hence the result too.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/statistics.h"
#include "kernels/base/result.h"

namespace bitloom {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kRun = 128;
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Bits = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));

// References keep vectors out of registers' calling convention, which differs between targets.
inline void load(const float* from, Floats& to) {
  std::memcpy(&to, from, sizeof to);
}

inline void select(const Bits& condition, const Floats& yes, const Floats& no, Floats& to) {
  to = reinterpret_cast<Floats>((condition & reinterpret_cast<Bits>(yes)) |
                                (~condition & reinterpret_cast<Bits>(no)));
}

// x ← e^x for x ≤ 0, relative error below 2e-7; 0 where e^x is below the smallest normal float.
// x = n·ln 2 + r with |r| ≤ ln 2 / 2; adding 1.5·2^23 rounds to the integer n without a call. The
// polynomial is the Taylor series of e^r to degree 7 (remainder 4e-9).
inline void expOfNonPositive(Floats& x) {
  constexpr float kRound = 12582912.0F;
  const Floats lowest = Floats{} - 87.0F;
  const Bits tooLow = x < lowest;  // false for NaN, which passes through
  Floats clamped;
  select(tooLow, lowest, x, clamped);
  const Floats shifted = clamped * 1.44269504F + kRound;
  const Floats n = shifted - kRound;
  // ln 2 in two parts: the product of n and the first one is exact.
  const Floats r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;
  Floats poly = r * (1.0F / 5040) + 1.0F / 720;
  poly = poly * r + 1.0F / 120;
  poly = poly * r + 1.0F / 24;
  poly = poly * r + 1.0F / 6;
  poly = poly * r + 0.5F;
  poly = poly * r + 1.0F;
  poly = poly * r + 1.0F;
  // The low bits of `shifted` are n in two's complement; they become the exponent.
  const Bits scale = (reinterpret_cast<Bits>(shifted) + 127) << 23;
  select(tooLow, Floats{}, poly * reinterpret_cast<Floats>(scale), x);
}

// term ← p·(e^δ − 1 − δ), given q = p·e^δ. Near 0 the series keeps the digits that the difference
// loses; far from it the difference keeps q even where p is 0.
inline void divergenceTerm(const Floats& p, const Floats& q, const Floats& delta, Floats& term) {
  Floats poly = delta * (1.0F / 362880) + 1.0F / 40320;
  poly = poly * delta + 1.0F / 5040;
  poly = poly * delta + 1.0F / 720;
  poly = poly * delta + 1.0F / 120;
  poly = poly * delta + 1.0F / 24;
  poly = poly * delta + 1.0F / 6;
  poly = poly * delta + 0.5F;
  const Bits near = (delta < 0.75F) & (delta > -0.75F);
  select(near, p * (delta * delta * poly), q - p - p * delta, term);
}

// Σ of `term(values, to)` over [0, count): a whole vector at a time, the last one padded by
// `padding`, for which the term is 0. `Rows` is the number of input rows.
template <size_t Rows, typename Term>
double laneSum(const float* const (&rows)[Rows], size_t count, const float (&padding)[Rows],
               Term term) {
  double total = 0;
  size_t i = 0;
  while (i < count) {
    Floats lanes{};
    for (const size_t end = i + kRun; i < std::min(end, count); i += kLanes) {
      Floats values[Rows];
      for (size_t row = 0; row < Rows; ++row) {
        if (i + kLanes <= count) {
          load(rows[row] + i, values[row]);
        } else {
          values[row] = Floats{} + padding[row];
          std::memcpy(&values[row], rows[row] + i, (count - i) * sizeof(float));
        }
      }
      Floats to;
      term(values, to);
      lanes += to;
    }
    for (size_t lane = 0; lane < kLanes; ++lane) total += double(lanes[lane]);
  }
  return total;
}

float largestOf(std::span<const float> values) {
  Floats lanes = Floats{} + values[0];
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    Floats next;
    load(values.data() + i, next);
    select(next > lanes, next, lanes, lanes);
  }
  float largest = values[0];
  for (size_t lane = 0; lane < kLanes; ++lane) largest = std::max(largest, lanes[lane]);
  for (; i < values.size(); ++i) largest = std::max(largest, values[i]);
  return largest;
}

constexpr float kNothing = -std::numeric_limits<float>::infinity();

}  // namespace

LogitRow logitRow(std::span<const float> logits) {
  CHECK(!logits.empty());
  const float largest = largestOf(logits);
  const double sum = laneSum<1>({logits.data()}, logits.size(), {kNothing},
                                [largest](const Floats (&row)[1], Floats& to) {
                                  to = row[0] - largest;
                                  expOfNonPositive(to);
                                });
  LogitRow row;
  row.logits = logits;
  row.largest = largest;
  row.logSum = double(largest) + std::log(sum);
  const auto top = std::find(logits.begin(), logits.end(), largest);
  row.top = uint32_t(top - logits.begin());
  return row;
}

double klDivergence(const LogitRow& reference, const LogitRow& other) {
  CHECK(reference.logits.size() == other.logits.size());
  const float largestA = reference.largest;
  const float largestB = other.largest;
  const float scaleA = float(std::exp(double(largestA) - reference.logSum));
  const float scaleB = float(std::exp(double(largestB) - other.logSum));
  // An error ε in the difference of the log sums changes the result by ε²/2 only: f32 will do.
  const float shift = float(other.logSum - reference.logSum);
  const auto term = [=](const Floats (&rows)[2], Floats& to) {
    Floats p = rows[0] - largestA;
    Floats q = rows[1] - largestB;
    expOfNonPositive(p);
    expOfNonPositive(q);
    p *= scaleA;
    q *= scaleB;
    divergenceTerm(p, q, (rows[1] - rows[0]) - shift, to);
  };
  // Both padded with the same finite number far below all others: p = q = 0 there.
  const float padding = std::min(largestA, largestB) - 1000;
  const double sum = laneSum<2>({reference.logits.data(), other.logits.data()},
                                reference.logits.size(), {padding, padding}, term);
  return std::max(sum, 0.0);
}

}  // namespace bitloom

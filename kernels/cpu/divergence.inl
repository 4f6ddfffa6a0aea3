// SPDX-License-Identifier: GPL-3.0-or-later
// Softmax statistics of rows of logits. A lane sums at most kRunVectors positive terms in f32 and
// is then added in f64, so that rounding stays near one ulp of f32 for any vocabulary.

constexpr size_t kRunVectors = 16;

float largestOfRow(const float* row, size_t count) {
  Floats lanes = splat(-__builtin_inff());
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) lanes = larger(load(row + i), lanes);
  float most = largestLane(lanes);
  for (; i < count; ++i) most = row[i] > most ? row[i] : most;
  return most;
}

// Σ term(first index, number of lanes in use) over vectors of [0, count). A term's unused lanes
// are 0.
template <typename Term>
inline double sumOfTerms(size_t count, Term term) {
  double total = 0;
  size_t i = 0;
  while (i < count) {
    Floats sums = {};
    for (size_t vector = 0; vector < kRunVectors && i < count; ++vector, i += kLanes) {
      sums += term(i, count - i < kLanes ? count - i : kLanes);
    }
    float lanes[kLanes];
    store(lanes, sums);
    for (size_t lane = 0; lane < kLanes; ++lane) total += static_cast<double>(lanes[lane]);
  }
  return total;
}

// `used` floats from `from`; the other lanes are `rest`.
inline Floats loadPadded(const float* from, size_t used, float rest) {
  if (used == kLanes) return load(from);
  float lanes[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = lane < used ? from[lane] : rest;
  return load(lanes);
}

double sumExp(const float* row, size_t count, float largest) {
  return sumOfTerms(count, [=](size_t i, size_t used) {
    return expLanes(loadPadded(row + i, used, -__builtin_inff()) - largest);
  });
}

// KL = Σ p·(e^δ − 1 − δ) with δ = log q − log p: every term is positive, and its size is that of
// the result. Near δ = 0 the Taylor series of (e^δ − 1 − δ) / δ² keeps the digits that the
// difference would lose; elsewhere q − p − p·δ keeps q even where p is 0.
double divergence(const DivergenceArguments& task) {
  const float floor = (task.largestA < task.largestB ? task.largestA : task.largestB) - 1000.0f;
  return sumOfTerms(task.count, [&task, floor](size_t i, size_t used) {
    const Floats a = loadPadded(task.a + i, used, floor);
    const Floats b = loadPadded(task.b + i, used, floor);
    const Floats p = expLanes(a - task.largestA) * task.scaleA;
    const Floats q = expLanes(b - task.largestB) * task.scaleB;
    const Floats delta = (b - a) - task.shift;
    Floats series = delta * (1.0f / 362880) + (1.0f / 40320);
    series = series * delta + (1.0f / 5040);
    series = series * delta + (1.0f / 720);
    series = series * delta + (1.0f / 120);
    series = series * delta + (1.0f / 24);
    series = series * delta + (1.0f / 6);
    series = series * delta + 0.5f;
    const Floats near = p * (delta * delta * series);
    const Floats far = q - p - p * delta;
    const Floats limit = splat(0.75f);
    return delta < limit ? (delta > -limit ? near : far) : far;
  });
}

// SPDX-License-Identifier: GPL-3.0-or-later
// Functions of single rows: norm, softmax, gates, sums, rotation.

void expRow(float* out, const float* in, size_t count) {
  mapRow(out, in, count, [](Floats x) { return expLanes(x); });
}

void rmsNorm(float* out, const float* in, const float* weight, size_t count, float epsilon) {
  Floats squares = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Floats x = load(in + i);
    squares += x * x;
  }
  if (i < count) {
    const Floats x = loadPart(in + i, count - i);
    squares += x * x;
  }
  if (count == 0) return;
  const float mean = sumLanes(squares) / static_cast<float>(count);
  const float factor = 1.0f / __builtin_sqrtf(mean + epsilon);
  mapRows(out, in, weight, count, [factor](Floats x, Floats w) { return x * factor * w; });
}

// Lanes past `count` are −inf on the way to the maximum and 0 in the sum. A row of −inf alone
// becomes zeros.
void softmax(float* row, size_t count) {
  const float kNothing = -__builtin_inff();
  Floats largest = splat(kNothing);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) largest = larger(load(row + i), largest);
  float most = largestLane(largest);
  for (; i < count; ++i) most = row[i] > most ? row[i] : most;
  const float shift = most == kNothing ? 0.0f : most;
  Floats sums = {};
  for (i = 0; i + kLanes <= count; i += kLanes) {
    const Floats e = expLanes(load(row + i) - shift);
    store(row + i, e);
    sums += e;
  }
  if (i < count) {
    const size_t rest = count - i;
    storePart(row + i, expLanes(loadPart(row + i, rest) - shift), rest);
    sums += loadPart(row + i, rest);
  }
  const float sum = sumLanes(sums);
  const float factor = sum == 0.0f ? 0.0f : 1.0f / sum;
  mapRow(row, row, count, [factor](Floats x) { return x * factor; });
}

inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + expLanes(-x)); }

void siluGate(float* out, const float* gate, const float* up, size_t count) {
  mapRows(out, gate, up, count, [](Floats g, Floats u) { return g * sigmoid(g) * u; });
}

// ½·g·(1 + tanh z) = g·sigmoid(2z), z = √(2/π)·(g + 0.044715·g³) (arXiv 1606.08415).
void geluGate(float* out, const float* gate, const float* up, size_t count) {
  mapRows(out, gate, up, count, [](Floats g, Floats u) {
    const Floats doubled = 1.5957691216f * (g + 0.044715f * g * g * g);
    return g * sigmoid(doubled) * u;
  });
}

void add(float* out, const float* left, const float* right, size_t count) {
  mapRows(out, left, right, count, [](Floats l, Floats r) { return l + r; });
}

void scale(float* out, const float* in, float factor, size_t count) {
  mapRow(out, in, count, [factor](Floats x) { return x * factor; });
}

void rope(const RopeArguments& task) {
  const size_t step = task.adjacent ? 2 : 1;
  const size_t partner = task.adjacent ? 1 : task.pairs;
  for (size_t head = 0; head < task.headCount; ++head) {
    float* values = task.heads + head * task.headWidth;
    for (size_t i = 0; i < task.pairs; ++i) {
      float& x = values[i * step];
      float& y = values[i * step + partner];
      const float turnedX = x * task.cosines[i] - y * task.sines[i];
      const float turnedY = x * task.sines[i] + y * task.cosines[i];
      x = turnedX;
      y = turnedY;
    }
  }
}

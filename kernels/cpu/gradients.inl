// SPDX-License-Identifier: GPL-3.0-or-later
// Reverse mode of the functions of single rows, and the product of two rows.

double dot(const float* left, const float* right, size_t count) {
  Floats sums = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) sums += load(left + i) * load(right + i);
  if (i < count) sums += loadPart(left + i, count - i) * loadPart(right + i, count - i);
  return static_cast<double>(sumLanes(sums));
}

// With r = 1/√(mean x² + ε) and y = w·x·r: dx = r·(w·dy − x·r²·mean(w·dy·x)).
void rmsNormGradient(const NormGradient& task) {
  const size_t count = task.count;
  if (count == 0) return;
  Floats squares = {};
  Floats products = {};
  const auto step = [&](Floats x, Floats w, Floats dy) {
    squares += x * x;
    products += w * dy * x;
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    step(load(task.in + i), load(task.weight + i), load(task.outGradient + i));
  }
  if (i < count) {
    const size_t rest = count - i;
    step(loadPart(task.in + i, rest), loadPart(task.weight + i, rest),
         loadPart(task.outGradient + i, rest));
  }
  const float n = static_cast<float>(count);
  const float factor = 1.0f / __builtin_sqrtf(sumLanes(squares) / n + task.epsilon);
  const float pull = factor * factor * sumLanes(products) / n;
  mapRows(task.inGradient, task.outGradient, task.weight, count,
          [factor](Floats dy, Floats w) { return dy * w * factor; });
  mapRows(task.inGradient, task.inGradient, task.in, count,
          [factor, pull](Floats dx, Floats x) { return dx - x * (factor * pull); });
}

// Calls slope(g, value, derivative) for the activation's value and derivative at each g.
template <typename Slope>
inline void gateGradient(const GateGradient& task, Slope slope) {
  const auto step = [&](Floats g, Floats u, Floats dy, Floats& dg, Floats& du) {
    Floats value, derivative;
    slope(g, value, derivative);
    dg = dy * u * derivative;
    du = dy * value;
  };
  size_t i = 0;
  Floats dg, du;
  for (; i + kLanes <= task.count; i += kLanes) {
    step(load(task.gate + i), load(task.up + i), load(task.outGradient + i), dg, du);
    store(task.gateGradient + i, dg);
    store(task.upGradient + i, du);
  }
  if (i < task.count) {
    const size_t rest = task.count - i;
    step(loadPart(task.gate + i, rest), loadPart(task.up + i, rest),
         loadPart(task.outGradient + i, rest), dg, du);
    storePart(task.gateGradient + i, dg, rest);
    storePart(task.upGradient + i, du, rest);
  }
}

void siluGateGradient(const GateGradient& task) {
  gateGradient(task, [](Floats g, Floats& value, Floats& derivative) {
    const Floats s = sigmoid(g);
    value = g * s;
    derivative = s + value * (1.0f - s);
  });
}

void geluGateGradient(const GateGradient& task) {
  gateGradient(task, [](Floats g, Floats& value, Floats& derivative) {
    const Floats s = sigmoid(1.5957691216f * (g + 0.044715f * g * g * g));
    value = g * s;
    derivative = s + value * (1.0f - s) * 1.5957691216f * (1.0f + 0.134145f * g * g);
  });
}

// dS = P ⊙ (dP − Σ P·dP), in place of dP.
void softmaxGradient(float* gradient, const float* probabilities, size_t count) {
  const float mean = static_cast<float>(dot(gradient, probabilities, count));
  mapRows(gradient, gradient, probabilities, count,
          [mean](Floats dp, Floats p) { return p * (dp - mean); });
}

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

// The first `count` lanes of a vector; all when there are as many.
inline Floats loadLanes(const float* from, size_t count, bool whole) {
  return whole ? load(from) : loadPart(from, count);
}

// Rows [row, row + kRows) and columns [column, column + kPanel) of the gradient stay in registers
// while the tokens pass, and then meet the changes.
template <size_t kRows>
inline void gradientTile(const GradientProducts& task, size_t row, size_t column) {
  Floats sums[kRows][kVectors] = {};
  size_t lanes[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t first = column + v * kLanes;
    const size_t rest = task.columns > first ? task.columns - first : 0;
    lanes[v] = rest < kLanes ? rest : kLanes;
  }
  const bool whole = lanes[kVectors - 1] == kLanes;
  const float* in = task.in + column;
  const float* out = task.out + row;
  for (size_t t = 0; t < task.tokens; ++t, in += task.inStride, out += task.outStride) {
    Floats x[kVectors];
#pragma GCC unroll 8
    for (size_t v = 0; v < kVectors; ++v) x[v] = loadLanes(in + v * kLanes, lanes[v], whole);
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
      for (size_t v = 0; v < kVectors; ++v) sums[i][v] += x[v] * out[i];
    }
  }
  for (size_t c = 0; c < task.count; ++c) {
    const float* change = task.changes + (c * task.rows + row) * task.columns + column;
    Floats product = {};
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i, change += task.columns) {
#pragma GCC unroll 8
      for (size_t v = 0; v < kVectors; ++v) {
        product += sums[i][v] * loadLanes(change + v * kLanes, lanes[v], whole);
      }
    }
    task.products[c] += double(sumLanes(product));
  }
}

template <size_t kRows>
inline void gradientRest(const GradientProducts& task, size_t row, size_t column, size_t rows) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      gradientTile<kRows>(task, row, column);
    } else {
      gradientRest<kRows - 1>(task, row, column, rows);
    }
  }
}

void gradientProducts(const GradientProducts& task) {
  for (size_t column = 0; column < task.columns; column += kPanel) {
    size_t row = 0;
    for (; row + kTileRows <= task.rows; row += kTileRows) {
      gradientTile<kTileRows>(task, row, column);
    }
    gradientRest<kTileRows - 1>(task, row, column, task.rows - row);
  }
}

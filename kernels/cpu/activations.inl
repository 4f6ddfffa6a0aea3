// SPDX-License-Identifier: GPL-3.0-or-later
// The left side of products with panels: rounding to bytes, rotation.

constexpr size_t kStepVectors = kPanelStep / kLanes;

// code = value · 127 / largest of the 32, to the nearest integer; a run of zeros has scale 0. A run
// that holds an infinity or a NaN has that as its scale, and so spoils every sum it enters.
void roundActivations(const float* row, size_t k, int8_t* codes, float* scales, int32_t* sums) {
  typedef int8_t Bytes __attribute__((vector_size(kLanes)));
  const float kRounding = 12582912.0f;  // 1.5 · 2²³: adding it leaves the nearest integer
  for (size_t step = 0; step < k / kPanelStep; ++step, row += kPanelStep, codes += kPanelStep) {
    Floats most = {};
    Floats spoil = {};
    for (size_t v = 0; v < kStepVectors; ++v) {
      const Floats x = load(row + v * kLanes);
      most = larger(larger(x, -x), most);
      spoil += x * 0.0f;
    }
    const float largest = largestLane(most);
    const float spoiled = sumLanes(spoil);
    const float inverse = largest > 0 && spoiled == 0 ? 127.0f / largest : 0.0f;
    scales[step] = largest / 127.0f + spoiled;
    float halves[2] = {};
    for (size_t v = 0; v < kStepVectors; ++v) {
      const Floats whole = load(row + v * kLanes) * inverse + kRounding - kRounding;
      const Bytes bytes = __builtin_convertvector(__builtin_convertvector(whole, Ints), Bytes);
      __builtin_memcpy(codes + v * kLanes, &bytes, sizeof bytes);
      halves[2 * v / kStepVectors] += sumLanes(whole);  // exact
    }
    int32_t* to = sums + step * kPanelSums;
    to[0] = -128 * int32_t(halves[0]);
    to[1] = -128 * int32_t(halves[1]);
    to[2] = to[0] + to[1];
    to[3] = 0;
  }
}

// Sums and differences of values `kStride` apart.
template <size_t kStride>
inline void crossValues(Floats* values) {
  if constexpr (kStride >= kLanes) {
    constexpr size_t kApart = kStride / kLanes;
#pragma GCC unroll 8
    for (size_t v = 0; v < kStepVectors; ++v) {
      if (v & kApart) continue;
      const Floats first = values[v], second = values[v + kApart];
      values[v] = first + second;
      values[v + kApart] = first - second;
    }
  } else {
    Ints order;
    Floats sign;
    for (size_t i = 0; i < kLanes; ++i) {
      order[i] = int32_t(i ^ kStride);
      sign[i] = i & kStride ? -1.0f : 1.0f;
    }
#pragma GCC unroll 8
    for (size_t v = 0; v < kStepVectors; ++v) {
      values[v] = __builtin_shuffle(values[v], order) + values[v] * sign;
    }
  }
}

// H·diag(s)/√32 on each 32 values, the rotation of the TQ formats: s[i] is −1 where the top bit of
// i · 0x9E3779B9 (mod 2³²) is set, H the Hadamard matrix in its natural order.
void rotateActivations(float* row, size_t k) {
  constexpr float kNorm = 0x1.6a09e6p-3f;  // 1/√32
  float signs[kPanelStep];
  for (size_t i = 0; i < kPanelStep; ++i) {
    signs[i] = (uint32_t(i) * 0x9E3779B9u) >> 31 ? -kNorm : kNorm;
  }
  for (size_t step = 0; step < k / kPanelStep; ++step, row += kPanelStep) {
    Floats values[kStepVectors];
    for (size_t v = 0; v < kStepVectors; ++v) {
      values[v] = load(row + v * kLanes) * load(signs + v * kLanes);
    }
    crossValues<16>(values);
    crossValues<8>(values);
    crossValues<4>(values);
    crossValues<2>(values);
    crossValues<1>(values);
    for (size_t v = 0; v < kStepVectors; ++v) store(row + v * kLanes, values[v]);
  }
}

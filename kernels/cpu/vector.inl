// SPDX-License-Identifier: GPL-3.0-or-later
// Vectors of kLanes floats in the compiler's own vector types, so that the kernels are written
// once. Included inside an anonymous namespace, after kLanes is defined. No std containers and no
// inline functions from shared headers: the linker could keep the copy with the wrong instructions.

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));

inline Floats load(const float* from) {
  Floats value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

inline void store(float* to, Floats value) { __builtin_memcpy(to, &value, sizeof value); }

// The first `count` < kLanes floats; the other lanes are zero.
inline Floats loadPart(const float* from, size_t count) {
  Floats value = {};
  __builtin_memcpy(&value, from, count * sizeof(float));
  return value;
}

inline void storePart(float* to, Floats value, size_t count) {
  __builtin_memcpy(to, &value, count * sizeof(float));
}

inline Floats splat(float value) { return Floats{} + value; }

inline Floats larger(Floats left, Floats right) { return left > right ? left : right; }

// The upper half is folded onto the lower until one lane is left.
inline float sumLanes(Floats value) {
#ifdef __AVX512F__
  return _mm512_reduce_add_ps(value);
#endif
  float lanes[kLanes];
  store(lanes, value);
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

inline float largestLane(Floats value) {
#ifdef __AVX512F__
  return _mm512_reduce_max_ps(value);
#endif
  float lanes[kLanes];
  store(lanes, value);
  float largest = lanes[0];
  for (size_t i = 1; i < kLanes; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
}

// out[i] = function(in[i]), a vector at a time; lanes past the end compute on zeros.
template <typename Function>
inline void mapRow(float* out, const float* in, size_t count, Function function) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, function(load(in + i)));
  if (i < count) storePart(out + i, function(loadPart(in + i, count - i)), count - i);
}

template <typename Function>
inline void mapRows(float* out, const float* left, const float* right, size_t count,
                    Function function) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(out + i, function(load(left + i), load(right + i)));
  }
  if (i < count) {
    const size_t rest = count - i;
    storePart(out + i, function(loadPart(left + i, rest), loadPart(right + i, rest)), rest);
  }
}

// eˣ = 2ⁿ · eʳ with n = round(x / ln 2) and |r| ≤ ln 2 / 2. ln 2 is split in two parts so that
// n · (first part) is exact. eʳ by its Taylor polynomial of degree 7: the first term left out is
// below 6e-9 of the value, a tenth of an ulp. 2ⁿ is applied as two factors because n = 128 has no
// float of its own.
inline Floats expLanes(Floats x) {
  const float kHighest = 88.72283f;     // largest x with a finite eˣ
  const float kLowest = -87.33654f;     // smallest x with a normal eˣ
  const float kRounding = 12582912.0f;  // 1.5 · 2²³: adding it leaves the nearest integer
  const Floats clampedAbove = x > splat(kHighest) ? splat(kHighest) : x;
  const Floats clamped = clampedAbove < splat(kLowest) ? splat(kLowest) : clampedAbove;
  const Floats shifted = clamped * 1.44269504f + kRounding;
  const Floats n = shifted - kRounding;
  Floats r = clamped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  Floats p = splat(1.0f / 5040);
  p = p * r + (1.0f / 720);
  p = p * r + (1.0f / 120);
  p = p * r + (1.0f / 24);
  p = p * r + (1.0f / 6);
  p = p * r + 0.5f;
  p = p * (r * r) + r;
  p = p + 1.0f;
  const Ints whole = __builtin_convertvector(n, Ints);
  const Ints half = whole >> 1;
  const Ints firstBits = (half + 127) << 23;
  const Ints secondBits = (whole - half + 127) << 23;
  Floats first;
  Floats second;
  __builtin_memcpy(&first, &firstBits, sizeof first);
  __builtin_memcpy(&second, &secondBits, sizeof second);
  Floats result = p * first * second;
  result = x > splat(kHighest) ? splat(__builtin_inff()) : result;
  return x < splat(kLowest) ? Floats{} : result;
}

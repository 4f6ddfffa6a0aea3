// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of IEEE half precision, with the processor's conversion where the target has one.

inline Floats halfLanes(const uint16_t* in) {
#ifdef __AVX512F__
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)));
#elif defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
#else
  Floats lanes;
  for (size_t i = 0; i < kLanes; ++i) {
    _Float16 half;
    __builtin_memcpy(&half, in + i, sizeof half);
    lanes[i] = static_cast<float>(half);
  }
  return lanes;
#endif
}

// The first `count` < kLanes; the other lanes are zero.
inline Floats halfLanesPart(const uint16_t* in, size_t count) {
  uint16_t lanes[kLanes] = {};
  __builtin_memcpy(lanes, in, count * sizeof(uint16_t));
  return halfLanes(lanes);
}

void f16ToF32(float* out, const uint16_t* in, size_t count) {
  size_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(halves));
  }
#endif
  for (; i < count; ++i) {
    _Float16 half;
    __builtin_memcpy(&half, in + i, sizeof half);
    out[i] = static_cast<float>(half);
  }
}

void f32ToF16(uint16_t* out, const float* in, size_t count) {
  size_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), halves);
  }
#endif
  for (; i < count; ++i) {
    const _Float16 half = static_cast<_Float16>(in[i]);
    __builtin_memcpy(out + i, &half, sizeof half);
  }
}

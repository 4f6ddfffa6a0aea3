// SPDX-License-Identifier: GPL-3.0-or-later
// What panels are computed with, on AVX-512 with VNNI: one register each.

using Codes = __m512i;
using Sums = __m512i;
using Wide = __m512;

inline Codes loadCodes(const uint8_t* from) { return _mm512_loadu_si512(from); }

template <int kShift, int kMask>
inline Codes field(Codes bytes) {
  const Codes shifted = kShift == 0 ? bytes : _mm512_srli_epi16(bytes, kShift);
  return _mm512_and_si512(shifted, _mm512_set1_epi8(char(kMask)));
}

// The field is shifted straight to its place: one shift and (low | shifted & mask).
template <int kShift, int kMask, int kUp>
inline Codes joined(Codes low, Codes bytes) {
  Codes placed = bytes;
  if constexpr (kShift > kUp) placed = _mm512_srli_epi16(bytes, kShift - kUp);
  if constexpr (kShift < kUp) placed = _mm512_slli_epi16(bytes, kUp - kShift);
  return _mm512_ternarylogic_epi32(low, placed, _mm512_set1_epi8(char(kMask << kUp)), 0xf8);
}

template <int kBit, bool kFours>
inline Codes picked(Codes low, uint32_t mask) {
  const Codes bit = _mm512_set1_epi8(kBit);
  if constexpr (kFours) return _mm512_mask_or_epi32(low, __mmask16(mask), low, bit);
  return _mm512_or_si512(low, _mm512_maskz_mov_epi16(mask, bit));
}

template <size_t kEntries>
inline Codes lookUp(const uint8_t* table, Codes indices) {
  const auto half = [&](size_t first) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + first)));
  };
  Codes codes = _mm512_shuffle_epi8(half(0), indices);
  if constexpr (kEntries > 16) {
    const __mmask64 upper = _mm512_test_epi8_mask(indices, _mm512_set1_epi8(16));
    codes = _mm512_mask_shuffle_epi8(codes, upper, half(16), indices);
  }
  return codes;
}

template <int kZero>
inline void addProducts(Sums& sums, Codes codes, const int8_t* a) {
  int32_t four;
  __builtin_memcpy(&four, a, 4);
  sums = _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(four));
}

template <int kZero>
inline Sums startSums(int32_t activations) {
  return _mm512_set1_epi32(-kZero * activations);
}

inline Wide splatWide(float value) { return _mm512_set1_ps(value); }
inline Wide toFloats(Sums sums) { return _mm512_cvtepi32_ps(sums); }
inline Wide times(Wide a, Wide b) { return _mm512_mul_ps(a, b); }
inline Wide plusProduct(Wide sum, Wide a, Wide b) { return _mm512_fmadd_ps(a, b, sum); }
inline Wide loadWide(const float* from) { return _mm512_loadu_ps(from); }
inline __m256i load256(const uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
inline Wide loadHalves(const uint8_t* from) { return _mm512_cvtph_ps(load256(from)); }
inline Wide loadBrains(const uint8_t* from) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(from)), 16));
}
inline Wide loadSignedBytes(const uint8_t* from) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
inline void storeWide(float* to, Wide wide) { _mm512_storeu_ps(to, wide); }

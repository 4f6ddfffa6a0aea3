// SPDX-License-Identifier: GPL-3.0-or-later
// What panels are computed with, on AVX-512 with VNNI and VBMI: one register each.

using Codes = __m512i;
using Sums = __m512i;
using Wide = __m512;

inline Codes loadCodes(const uint8_t* from) { return _mm512_loadu_si512(from); }
inline __m256i load256(const uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
inline long long loadWord(const uint8_t* from) {
  long long word;
  __builtin_memcpy(&word, from, sizeof word);
  return word;
}

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

// The table repeats to 64 entries, so that only as many low bits of an index count as it needs.
constexpr bool kWideTables = true;
template <size_t kEntries>
inline Codes lookUp(const uint8_t* table, Codes indices) {
  static_assert(kEntries == 8 || kEntries == 16 || kEntries == 32);
  Codes entries;
  if constexpr (kEntries == 8) {
    entries = _mm512_set1_epi64(loadWord(table));
  } else if constexpr (kEntries == 16) {
    entries = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  } else {
    entries = _mm512_broadcast_i64x4(load256(table));
  }
  return _mm512_permutexvar_epi8(indices, entries);
}

constexpr bool kCutsWords = true;
struct CodeWords {
  Codes word[4];
};

inline CodeWords loadWords(const uint8_t* from) {
  constexpr int kFirstWhereSet = 0xe4;  // third ? first : second, bit by bit
  CodeWords words;
  for (size_t i = 0; i < 3; ++i) words.word[i] = loadCodes(from + 64 * i);
  const Codes lower = _mm512_ternarylogic_epi64(words.word[0], words.word[1],
                                                _mm512_set1_epi64(0xffff), kFirstWhereSet);
  words.word[3] = _mm512_ternarylogic_epi64(lower, words.word[2], _mm512_set1_epi64(0xffffffff),
                                            kFirstWhereSet);
  return words;
}

// Byte i of each 64 bits: the eight bits from kFirst + i·kStep on, around the end.
template <int kFirst, int kStep>
inline Codes fieldsOf(Codes words) {
  long long places = 0;
  for (int i = 0; i < 8; ++i) places |= (long long)((kFirst + i * kStep) % 64) << (8 * i);
  return _mm512_multishift_epi64_epi8(_mm512_set1_epi64(places), words);
}

template <int kZero>
inline void addProducts(Sums& sums, Codes codes, const int8_t* a) {
  int32_t four;
  __builtin_memcpy(&four, a, 4);
  sums = _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(four));
}

// `sum` is −128 · Σa and kZero a power of two, or 0.
template <int kZero>
inline Sums startSums(const int32_t* sum) {
  if constexpr (kZero == 0) return _mm512_setzero_si512();
  return _mm512_srai_epi32(_mm512_set1_epi32(*sum), 7 - __builtin_ctz(unsigned(kZero | 256)));
}

inline Wide splatWide(float value) { return _mm512_set1_ps(value); }
inline Wide toFloats(Sums sums) { return _mm512_cvtepi32_ps(sums); }
inline Wide times(Wide a, Wide b) { return _mm512_mul_ps(a, b); }
inline Wide plusProduct(Wide sum, Wide a, Wide b) { return _mm512_fmadd_ps(a, b, sum); }
inline Wide loadWide(const float* from) { return _mm512_loadu_ps(from); }
inline Wide loadHalves(const uint8_t* from) { return _mm512_cvtph_ps(load256(from)); }
inline Wide loadBrains(const uint8_t* from) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(from)), 16));
}
inline Wide loadSignedBytes(const uint8_t* from) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
inline void storeWide(float* to, Wide wide) { _mm512_storeu_ps(to, wide); }

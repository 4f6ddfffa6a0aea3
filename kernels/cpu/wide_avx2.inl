// SPDX-License-Identifier: GPL-3.0-or-later
// What panels are computed with, on AVX2: pairs of registers. Products of bytes go through 16 bits
// (vpmaddubsw), which holds two of them only if one side stays below 2⁷: unsigned codes below 128
// are taken as they are; those around 128 become magnitudes, their signs go to the activations.

struct Codes {
  __m256i part[2];
};
constexpr bool kWideTables = false;
constexpr bool kCutsWords = false;
// Words of three-bit codes: other targets have them, here they are only named.
struct CodeWords {
  Codes word[4];
};
template <typename Byte>
CodeWords loadWords(const Byte* from);
template <int kFirst, int kStep>
Codes fieldsOf(const Codes& words);

struct Sums {
  __m256i part[2];
};
struct Wide {
  __m256 part[2];
};

inline Codes loadCodes(const uint8_t* from) {
  return {{_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
           _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32))}};
}

template <int kShift, int kMask>
inline __m256i fieldOf(__m256i bytes) {
  return _mm256_and_si256(_mm256_srli_epi16(bytes, kShift), _mm256_set1_epi8(char(kMask)));
}

template <int kShift, int kMask>
inline Codes field(const Codes& bytes) {
  return {{fieldOf<kShift, kMask>(bytes.part[0]), fieldOf<kShift, kMask>(bytes.part[1])}};
}

template <int kShift, int kMask, int kUp>
inline Codes joined(const Codes& low, const Codes& bytes) {
  Codes codes;
  for (size_t i = 0; i < 2; ++i) {
    const __m256i high = _mm256_slli_epi16(fieldOf<kShift, kMask>(bytes.part[i]), kUp);
    codes.part[i] = _mm256_or_si256(low.part[i], high);
  }
  return codes;
}

template <int kBit, bool kFours>
inline Codes picked(const Codes& low, uint32_t mask) {
  Codes codes;
  for (size_t i = 0; i < 2; ++i) {
    __m256i set;
    if constexpr (kFours) {
      const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
      const __m256i all = _mm256_set1_epi32(int(mask >> (8 * i)));
      set = _mm256_cmpeq_epi32(_mm256_and_si256(all, bits), bits);
    } else {
      const __m256i bits = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048,
                                             4096, 8192, 16384, short(0x8000));
      const __m256i all = _mm256_set1_epi16(short(mask >> (16 * i)));
      set = _mm256_cmpeq_epi16(_mm256_and_si256(all, bits), bits);
    }
    codes.part[i] = _mm256_or_si256(low.part[i], _mm256_and_si256(set, _mm256_set1_epi8(kBit)));
  }
  return codes;
}

template <size_t kEntries>
inline Codes lookUp(const uint8_t* table, const Codes& indices) {
  const auto half = [&](size_t first) {
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + first)));
  };
  Codes codes;
  for (size_t i = 0; i < 2; ++i) {
    codes.part[i] = _mm256_shuffle_epi8(half(0), indices.part[i]);
    if constexpr (kEntries > 16) {
      const __m256i upper = _mm256_shuffle_epi8(half(16), indices.part[i]);
      const __m256i isUpper = _mm256_slli_epi16(indices.part[i], 3);  // bit 4 → bit 7
      codes.part[i] = _mm256_blendv_epi8(codes.part[i], upper, isUpper);
    }
  }
  return codes;
}

template <int kZero>
inline void addProducts(Sums& sums, const Codes& codes, const int8_t* a) {
  int32_t four;
  __builtin_memcpy(&four, a, 4);
  const __m256i activations = _mm256_set1_epi32(four);
  const __m256i ones = _mm256_set1_epi16(1);
  for (size_t i = 0; i < 2; ++i) {
    __m256i products;
    if constexpr (kZero == 128) {
      const __m256i levels = _mm256_xor_si256(codes.part[i], _mm256_set1_epi8(char(0x80)));
      products =
          _mm256_maddubs_epi16(_mm256_abs_epi8(levels), _mm256_sign_epi8(activations, levels));
    } else {
      products = _mm256_maddubs_epi16(codes.part[i], activations);
    }
    sums.part[i] = _mm256_add_epi32(sums.part[i], _mm256_madd_epi16(products, ones));
  }
}

// The zero of 128 is in the products already.
template <int kZero>
inline Sums startSums(const int32_t* sum) {
  const __m256i start = _mm256_set1_epi32(kZero == 128 ? 0 : kZero * (*sum / 128));
  return {{start, start}};
}

inline Wide splatWide(float value) { return {{_mm256_set1_ps(value), _mm256_set1_ps(value)}}; }
inline Wide toFloats(const Sums& sums) {
  return {{_mm256_cvtepi32_ps(sums.part[0]), _mm256_cvtepi32_ps(sums.part[1])}};
}
inline Wide times(const Wide& a, const Wide& b) {
  return {{_mm256_mul_ps(a.part[0], b.part[0]), _mm256_mul_ps(a.part[1], b.part[1])}};
}
inline Wide plusProduct(const Wide& sum, const Wide& a, const Wide& b) {
  return {{_mm256_fmadd_ps(a.part[0], b.part[0], sum.part[0]),
           _mm256_fmadd_ps(a.part[1], b.part[1], sum.part[1])}};
}
inline Wide loadWide(const float* from) {
  return {{_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}};
}
inline __m128i load128(const uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
inline Wide loadHalves(const uint8_t* from) {
  return {{_mm256_cvtph_ps(load128(from)), _mm256_cvtph_ps(load128(from + 16))}};
}
inline __m256 widened(__m128i brains) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(brains), 16));
}
inline Wide loadBrains(const uint8_t* from) {
  return {{widened(load128(from)), widened(load128(from + 16))}};
}
inline Wide loadSignedBytes(const uint8_t* from) {
  const __m128i bytes = load128(from);
  return {{_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
           _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))}};
}
inline void storeWide(float* to, const Wide& wide) {
  _mm256_storeu_ps(to, wide.part[0]);
  _mm256_storeu_ps(to + 8, wide.part[1]);
}

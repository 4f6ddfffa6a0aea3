// SPDX-License-Identifier: GPL-3.0-or-later
// Part of `Panel`: its weights as right tiles of bfloat16 (tiles.inl). A unit holds the weights
// 4u … 4u + 3 of each row: its lower pairs are row 2u of the tile, its upper pairs row 2u + 1.

static void expandStep(const uint8_t* step, __m512 header, __m512 minimumFactor, uint8_t* tile) {
  const StepCodes codes = codesOf(step);
  const __m512i interleave = pairInterleave();
  const __m512i lowByte = _mm512_set1_epi32(255);
#pragma GCC unroll 2
  for (size_t group = 0; group < kGroups; ++group) {
    __m512 scale = header;
    if constexpr (L::kScale != StepScale::None) scale = header * scaleOf(step, group);
    __m512 offset = scale * float(-L::kZero);
    if constexpr (L::kMinimum) offset += minimumFactor * minimumOf(step, group);
#pragma GCC unroll 8
    for (size_t i = 0; i < L::kGroup / 4; ++i) {
      const size_t at = group * L::kGroup / 4 + i;
      __m512 values[4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const __m512i code =
            _mm512_and_si512(_mm512_srli_epi32(codes.units[at], unsigned(8 * j)), lowByte);
        values[j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(code), scale, offset);
      }
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        const __m512i pairs = (__m512i)_mm512_cvtne2ps_pbh(values[2 * j + 1], values[2 * j]);
        _mm512_storeu_si512(tile + (2 * at + size_t(j)) * 64,
                            _mm512_permutexvar_epi16(interleave, pairs));
      }
    }
  }
}

// `tiles`: those of the pair's other panel lie between.
static void expand(const uint8_t* panel, size_t k, uint8_t* tiles) {
  const size_t steps = k / kPanelStep;
  __m512 scale = _mm512_set1_ps(L::kUnit);
  __m512 minimum = scale;
  for (size_t step = 0; step < steps; ++step) {
    if constexpr (L::kHeader) {
      if (step % L::kSuper == 0) {
        scale = loadHalves(panel) * L::kUnit;
        if (L::kMinimum) minimum = loadHalves(panel + 32);
        panel += kHeaderBytes;
      }
    }
    expandStep(panel, scale, minimum, tiles + 2 * step * kTileBytes);
    panel += kStepBytes;
  }
}

// SPDX-License-Identifier: GPL-3.0-or-later
// Panels of 16-bit floats: for each column the values of 16 rows. Four sums take turns, so that
// additions need not wait for one another.

constexpr size_t kFloatChains = 4;
constexpr size_t kFloatTokens = 4;

inline size_t floatPanelBytes(size_t k) { return k * kPanelRows * 2; }

inline void packFloats(const PanelSource& source, uint8_t* panel) {
  __builtin_memset(panel, 0, floatPanelBytes(source.k));
  for (size_t row = 0; row < source.rows; ++row) {
    const uint8_t* from = source.bytes + row * source.rowBytes;
    for (size_t i = 0; i < source.k; ++i) {
      __builtin_memcpy(panel + (i * kPanelRows + row) * 2, from + 2 * i, 2);
    }
  }
}

template <Wide (*kLoad)(const uint8_t*), size_t kTokens>
inline void multiplyFloatPanel(const uint8_t* panel, const float* activations, size_t k,
                               float (*out)[kPanelRows]) {
  Wide sums[kTokens][kFloatChains];
  for (auto& chains : sums) {
    for (Wide& sum : chains) sum = splatWide(0);
  }
  for (size_t i = 0; i + kFloatChains <= k; i += kFloatChains) {
    __builtin_prefetch(panel + 2048);
    __builtin_prefetch(panel + 2048 + 64);
#pragma GCC unroll 4
    for (size_t chain = 0; chain < kFloatChains; ++chain, panel += 2 * kPanelRows) {
      const Wide weights = kLoad(panel);
#pragma GCC unroll 4
      for (size_t token = 0; token < kTokens; ++token) {
        Wide& sum = sums[token][chain];
        sum = plusProduct(sum, weights, splatWide(activations[token * k + i + chain]));
      }
    }
  }
  for (size_t i = k / kFloatChains * kFloatChains; i < k; ++i, panel += 2 * kPanelRows) {
    for (size_t token = 0; token < kTokens; ++token) {
      Wide& sum = sums[token][0];
      sum = plusProduct(sum, kLoad(panel), splatWide(activations[token * k + i]));
    }
  }
  const Wide one = splatWide(1);
  for (size_t token = 0; token < kTokens; ++token) {
    const Wide first = plusProduct(sums[token][0], sums[token][1], one);
    const Wide second = plusProduct(sums[token][2], sums[token][3], one);
    storeWide(out[token], plusProduct(first, second, one));
  }
}

template <Wide (*kLoad)(const uint8_t*), size_t kTokens>
inline void multiplyFloatTokens(const PanelProduct& task, size_t firstToken) {
  for (size_t panel = 0; panel < task.panelCount; ++panel) {
    float results[kTokens][kPanelRows];
    multiplyFloatPanel<kLoad, kTokens>(task.panels + panel * floatPanelBytes(task.k),
                                       task.activations + firstToken * task.k, task.k, results);
    const size_t row = panel * kPanelRows;
    const size_t rows = task.rows - row < kPanelRows ? task.rows - row : kPanelRows;
    for (size_t token = 0; token < kTokens; ++token) {
      float* to = task.out + (firstToken + token) * task.outStride + row;
      __builtin_memcpy(to, results[token], rows * sizeof(float));
    }
  }
}

template <Wide (*kLoad)(const uint8_t*)>
inline void multiplyFloats(const PanelProduct& task) {
  size_t token = 0;
  for (; token + kFloatTokens <= task.tokens; token += kFloatTokens) {
    multiplyFloatTokens<kLoad, kFloatTokens>(task, token);
  }
  for (; token < task.tokens; ++token) multiplyFloatTokens<kLoad, 1>(task, token);
}

#ifdef BITLOOM_TILES
template <Wide (*kLoad)(const uint8_t*)>
inline void expandFloats(const uint8_t* panel, size_t k, uint8_t* tiles) {
  const __m512i interleave = pairInterleave();
  for (size_t step = 0; step < tileSteps(k); ++step) {
    uint8_t* tile = tiles + 2 * step * kTileBytes;
    for (size_t pair = 0; pair < kTileStep / 2; ++pair) {
      const size_t i = step * kTileStep + 2 * pair;
      const Wide first = i < k ? kLoad(panel + 32 * i) : splatWide(0);
      const Wide second = i + 1 < k ? kLoad(panel + 32 * (i + 1)) : splatWide(0);
      const __m512i pairs = (__m512i)_mm512_cvtne2ps_pbh(second, first);
      _mm512_storeu_si512(tile + pair * 64, _mm512_permutexvar_epi16(interleave, pairs));
    }
  }
}
#endif

template <Wide (*kLoad)(const uint8_t*)>
constexpr PanelCodec floatPanelCodec(const char* name) {
  PanelCodec codec = {.name = name,
                      .integer = false,
                      .rotated = false,
                      .tableError = 0,
                      .panelBytes = floatPanelBytes,
                      .pack = packFloats,
                      .multiply = multiplyFloats<kLoad>,
                      .expand = nullptr};
#ifdef BITLOOM_TILES
  codec.expand = expandFloats<kLoad>;
#endif
  return codec;
}

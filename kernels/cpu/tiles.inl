// SPDX-License-Identifier: GPL-3.0-or-later
// Matrix product on AMX tiles: 16 × 16 sums in f32, each step multiplies 32 pairs of bfloat16
// (Intel SDM vol. 1 ch. 18, TDPBF16PS). A float is the sum of two bfloat16 to 16 bits: its nearest
// one, and the nearest one to what that leaves. Three of the four products of two such sums are
// taken; the fourth is below what f32 holds of the first. Tiles treat subnormals as zero.
//
// A left tile is 16 rows × 32 values; a right tile holds, in its row r, the values 2r and 2r + 1 of
// each of 16 columns. Zeros fill up what lacks of the last 32 values, rows or columns, and change
// no sum: an element depends on its own operands only.

constexpr size_t kTile = 16;      // rows, and columns, of a tile of sums
constexpr size_t kTileStep = 32;  // values that are contracted at once
constexpr size_t kTileBytes = 1024;
constexpr size_t kPairColumns = 2 * kTile;

struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t startRow = 0;
  uint8_t reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// g++ 12 believes that loading the shapes reads their first eight bytes only: it would leave the
// rest of a local one unwritten.
constexpr TileShapes kTileShapes;

// Tiles are the kernel's own from here to the end of the scope.
struct TileScope {
  TileScope() { _tile_loadconfig(&kTileShapes); }
  ~TileScope() { _tile_release(); }
};

inline size_t tileSteps(size_t k) { return (k + kTileStep - 1) / kTileStep; }

inline __m512 loadSome(const float* from, size_t count) {
  const __mmask16 mask = count >= 16 ? __mmask16(0xffff) : __mmask16((1u << count) - 1);
  return _mm512_maskz_loadu_ps(mask, from);
}

struct Parts {
  __m512i high;  // 32 bfloat16: the nearest to the values
  __m512i low;   // the nearest to the rest
};

inline __m512 widen(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

template <size_t kParts>
inline Parts split(__m512 first, __m512 second) {
  Parts parts;
  parts.high = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  parts.low = _mm512_setzero_si512();
  if constexpr (kParts == 2) {
    const __m512 restFirst = first - widen(_mm512_castsi512_si256(parts.high));
    const __m512 restSecond = second - widen(_mm512_extracti64x4_epi64(parts.high, 1));
    parts.low = (__m512i)_mm512_cvtne2ps_pbh(restSecond, restFirst);
  }
  return parts;
}

// Order of 16-bit values that brings value i of the lower half and of the upper half together.
inline __m512i pairInterleave() {
  return _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                          6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
}

// rows[i][j] ↔ rows[j][i], 16 × 16 values of 32 bits.
inline void transpose16(__m512i* rows) {
  __m512i t[16];
#pragma GCC unroll 8
  for (size_t i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  __m512i u[16];
#pragma GCC unroll 4
  for (size_t i = 0; i < 16; i += 4) {
    u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const __m512i a = _mm512_shuffle_i32x4(u[i], u[i + 4], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(u[i + 8], u[i + 12], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(u[i], u[i + 4], 0xdd);
    const __m512i d = _mm512_shuffle_i32x4(u[i + 8], u[i + 12], 0xdd);
    rows[i] = _mm512_shuffle_i32x4(a, b, 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(a, b, 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(c, d, 0x88);
    rows[i + 12] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
}

size_t tileInputBytes(size_t rows, size_t k, size_t parts) {
  return (rows + kTile - 1) / kTile * tileSteps(k) * parts * kTileBytes;
}

// One strip of up to 16 rows: for each step its high tile, then its low one.
template <size_t kParts>
inline void prepareStrip(const float* a, size_t stride, size_t rows, size_t k, uint8_t* to) {
  for (size_t step = 0; step < tileSteps(k); ++step, to += kParts * kTileBytes) {
    const size_t first = step * kTileStep;
    const size_t count = k - first < kTileStep ? k - first : kTileStep;
    for (size_t row = 0; row < kTile; ++row) {
      Parts parts = {_mm512_setzero_si512(), _mm512_setzero_si512()};
      if (row < rows) {
        const float* from = a + row * stride + first;
        parts =
            split<kParts>(loadSome(from, count), loadSome(from + 16, count > 16 ? count - 16 : 0));
      }
      _mm512_storeu_si512(to + row * 64, parts.high);
      if (kParts == 2) _mm512_storeu_si512(to + kTileBytes + row * 64, parts.low);
    }
  }
}

void tilePrepare(const TileInput& task) {
  uint8_t* to = task.strips;
  const size_t bytes = tileInputBytes(kTile, task.k, task.parts);
  for (size_t row = 0; row < task.rows; row += kTile, to += bytes) {
    const size_t count = task.rows - row < kTile ? task.rows - row : kTile;
    const float* a = task.a + row * task.aStride;
    if (task.parts == 2) {
      prepareStrip<2>(a, task.aStride, count, task.k, to);
    } else {
      prepareStrip<1>(a, task.aStride, count, task.k, to);
    }
  }
}

// `columns` rows of b (weights) as right tiles, one step after the other, two tiles to a step.
constexpr size_t kAhead = 8 * kTileStep;  // values

template <size_t kParts>
inline void packPair(const float* b, size_t stride, size_t columns, size_t k, uint8_t* to) {
  for (size_t step = 0; step < tileSteps(k); ++step) {
    const size_t first = step * kTileStep;
    const size_t count = k - first < kTileStep ? k - first : kTileStep;
    for (size_t tile = 0; tile < 2; ++tile, to += kParts * kTileBytes) {
      __m512i high[16];
      __m512i low[16];
#pragma GCC unroll 16
      for (size_t j = 0; j < kTile; ++j) {
        const size_t column = tile * kTile + j;
        high[j] = low[j] = _mm512_setzero_si512();
        if (column >= columns) continue;
        const float* from = b + column * stride + first;
        // Pieces of so many rows are beyond what the processor foresees.
        __builtin_prefetch(from + kAhead);
        __builtin_prefetch(from + kAhead + 16);
        const Parts parts =
            split<kParts>(loadSome(from, count), loadSome(from + 16, count > 16 ? count - 16 : 0));
        high[j] = parts.high;
        low[j] = parts.low;
      }
      transpose16(high);
      for (size_t r = 0; r < 16; ++r) _mm512_storeu_si512(to + r * 64, high[r]);
      if constexpr (kParts == 2) {
        transpose16(low);
        for (size_t r = 0; r < 16; ++r) _mm512_storeu_si512(to + kTileBytes + r * 64, low[r]);
      }
    }
  }
}

// Asks for a strip's tiles of the step after next: they come from the second cache, and the
// processor's own foresight is late for them.
template <size_t kParts>
inline void prefetchStep(const uint8_t* strip) {
  constexpr size_t kLine = 64;
  const uint8_t* from = strip + 2 * kParts * kTileBytes;
#pragma GCC unroll 32
  for (size_t i = 0; i < kParts * kTileBytes; i += kLine) __builtin_prefetch(from + i);
}

// Adds to 32 rows × 32 columns of sums from two strips and a pair of right tiles per step. The
// second strip may be the first again when there is no other. With two parts the order of the three
// products lets every tile be loaded once.
template <size_t kParts>
inline void accumulateTiles(const uint8_t* a0, const uint8_t* a1, const uint8_t* b, size_t steps) {
  constexpr size_t kStep = kParts * kTileBytes;
  for (size_t step = 0; step < steps; ++step, a0 += kStep, a1 += kStep, b += 2 * kStep) {
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + kStep, 64);
    prefetchStep<kParts>(a0);
    prefetchStep<kParts>(a1);
    if constexpr (kParts == 2) {
      _tile_loadd(4, a0 + kTileBytes, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, a1 + kTileBytes, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_loadd(4, a0, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a1, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    if constexpr (kParts == 2) {
      _tile_loadd(6, b + kTileBytes, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(2, 5, 6);
      _tile_loadd(7, b + kStep + kTileBytes, 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
}

inline void zeroTiles() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

template <size_t kParts>
inline void multiplyTiles(const uint8_t* a0, const uint8_t* a1, const uint8_t* b, size_t steps) {
  zeroTiles();
  accumulateTiles<kParts>(a0, a1, b, steps);
}

// The four tiles of sums → c, as much of them as exists there.
inline void storeTiles(float* c, size_t stride, size_t rows, size_t columns) {
  if (rows == kPairColumns && columns == kPairColumns) {
    _tile_stored(0, c, stride * 4);
    _tile_stored(1, c + kTile, stride * 4);
    _tile_stored(2, c + kTile * stride, stride * 4);
    _tile_stored(3, c + kTile * stride + kTile, stride * 4);
    return;
  }
  alignas(64) float sums[kPairColumns * kPairColumns];
  _tile_stored(0, sums, kPairColumns * 4);
  _tile_stored(1, sums + kTile, kPairColumns * 4);
  _tile_stored(2, sums + kTile * kPairColumns, kPairColumns * 4);
  _tile_stored(3, sums + kTile * kPairColumns + kTile, kPairColumns * 4);
  for (size_t i = 0; i < rows; ++i) {
    __builtin_memcpy(c + i * stride, sums + i * kPairColumns, columns * sizeof(float));
  }
}

// The same of k rows × `columns` (values, or weights turned): row r of a right tile is rows 2r and
// 2r + 1 side by side.
template <size_t kParts>
inline void packTurned(const float* b, size_t stride, size_t columns, size_t k, uint8_t* to) {
  const __m512i interleave = pairInterleave();
  for (size_t step = 0; step < tileSteps(k); ++step) {
    for (size_t tile = 0; tile < 2; ++tile, to += kParts * kTileBytes) {
      const size_t count = tile * kTile < columns ? columns - tile * kTile : 0;
      for (size_t r = 0; r < kTile; ++r) {
        const size_t row = step * kTileStep + 2 * r;
        const float* from = b + row * stride + tile * kTile;
        const __m512 even = loadSome(from, row < k ? count : 0);
        const __m512 odd = loadSome(from + stride, row + 1 < k ? count : 0);
        const Parts parts = split<kParts>(even, odd);
        _mm512_storeu_si512(to + r * 64, _mm512_permutexvar_epi16(interleave, parts.high));
        if constexpr (kParts == 2) {
          _mm512_storeu_si512(to + kTileBytes + r * 64,
                              _mm512_permutexvar_epi16(interleave, parts.low));
        }
      }
    }
  }
}

// Pieces of a product between which sums wait in memory: so much of a pair of right tiles stays in
// the nearest cache while the rows pass by it.
constexpr size_t kPieceBytes = 24 << 10;
constexpr size_t kPieceRows = 256;

struct PieceSums {
  alignas(64) float values[kPieceRows * kPairColumns];
};

inline void takeSums(const float* sums, size_t stride) {
  _tile_loadd(0, sums, stride * 4);
  _tile_loadd(1, sums + kTile, stride * 4);
  _tile_loadd(2, sums + kTile * stride, stride * 4);
  _tile_loadd(3, sums + kTile * stride + kTile, stride * 4);
}

// As much of the base as exists there → the four tiles of sums. Its next rows are asked for.
inline void takeBase(const TileProduct& task, size_t row, size_t rows, size_t column,
                     size_t columns) {
  const float* base = task.base + row * task.baseStride + column;
  for (size_t i = rows; i < 2 * rows && row + i < task.rows; ++i) {
    __builtin_prefetch(base + i * task.baseStride);
    __builtin_prefetch(base + i * task.baseStride + 16);
  }
  if (rows == kPairColumns && columns == kPairColumns) {
    takeSums(base, task.baseStride);
    return;
  }
  alignas(64) float sums[kPairColumns * kPairColumns] = {};
  for (size_t i = 0; i < rows; ++i) {
    __builtin_memcpy(sums + i * kPairColumns, base + i * task.baseStride, columns * sizeof(float));
  }
  takeSums(sums, kPairColumns);
}

// Up to kPieceRows rows, the first of them `first`, against one packed pair of column tiles.
template <size_t kParts>
inline void multiplyPiece(const TileProduct& task, const uint8_t* pair, size_t first, size_t column,
                          size_t columns, PieceSums& sums) {
  constexpr size_t kStep = kParts * kTileBytes;
  const size_t steps = tileSteps(task.k);
  const size_t pieces = (2 * steps * kStep + kPieceBytes - 1) / kPieceBytes;
  const size_t most = pieces < 2 ? steps : (steps + pieces - 1) / pieces;
  const size_t end = task.rows - first < kPieceRows ? task.rows : first + kPieceRows;
  for (size_t step = 0; step < steps || step == 0; step += most) {
    const size_t count = steps - step < most ? steps - step : most;
    const bool last = step + count == steps;
    for (size_t row = first; row < end; row += kPairColumns) {
      const size_t rows = end - row < kPairColumns ? end - row : kPairColumns;
      const uint8_t* a0 = task.strips + (row / kTile * steps + step) * kStep;
      const uint8_t* a1 = rows > kTile ? a0 + steps * kStep : a0;
      float* kept = sums.values + (row - first) * kPairColumns;
      float* out = task.c + row * task.cStride + column;
      if (step > 0) {
        takeSums(kept, kPairColumns);
      } else if (task.base == nullptr) {
        zeroTiles();
      } else {
        takeBase(task, row, rows, column, columns);
      }
      // Rows of c lie on pages of their own: asked for now, they are here when the sums are ready.
      for (size_t i = 0; last && i < rows; ++i) {
        __builtin_prefetch(out + i * task.cStride, 1);
        __builtin_prefetch(out + i * task.cStride + 16, 1);
      }
      accumulateTiles<kParts>(a0, a1, pair + 2 * step * kStep, count);
      if (last) {
        storeTiles(out, task.cStride, rows, columns);
      } else {
        storeTiles(kept, kPairColumns, kPairColumns, kPairColumns);
      }
    }
    if (last) break;
  }
}

// All strips against one packed pair of column tiles.
template <size_t kParts>
inline void multiplyPair(const TileProduct& task, const uint8_t* pair, size_t column,
                         size_t columns) {
  PieceSums sums;
  for (size_t first = 0; first < task.rows; first += kPieceRows) {
    multiplyPiece<kParts>(task, pair, first, column, columns, sums);
  }
}

template <size_t kParts>
inline void tileProduct(const TileProduct& task) {
  const TileScope scope;
  if (task.b == nullptr) {
    multiplyPair<kParts>(task, task.scratch, 0, task.n);
    return;
  }
  for (size_t j = 0; j < task.n; j += kPairColumns) {
    const size_t columns = task.n - j < kPairColumns ? task.n - j : kPairColumns;
    if (task.turned) {
      packTurned<kParts>(task.b + j, task.bStride, columns, task.k, task.scratch);
    } else {
      packPair<kParts>(task.b + j * task.bStride, task.bStride, columns, task.k, task.scratch);
    }
    multiplyPair<kParts>(task, task.scratch, j, columns);
  }
}

void tileMultiply(const TileProduct& task) {
  if (task.parts == 2) {
    tileProduct<2>(task);
  } else {
    tileProduct<1>(task);
  }
}

// SPDX-License-Identifier: GPL-3.0-or-later
// Matrix product by outer products. Columns of c are cut into panels of kPanel = kVectors · kLanes,
// the contraction into runs of kRun. For each panel and run, b's part is packed as kRun × kPanel
// (small enough for the first-level cache) and stays there while all rows of a pass by, kTileRows
// at a time: kTileRows × kVectors accumulators live in registers, one broadcast of a feeds
// kVectors multiply-adds.
//
// Every element of c is Σ over runs of (Σ over the run, ascending): tiles at the edges use the same
// sequence, so the result does not depend on m, n or on how a caller cuts them. Sums that begin
// anew with each run also lose less than one long sum.

constexpr size_t kRun = 192;
constexpr size_t kPanel = kVectors * kLanes;

// to[k][j] = b[j][k] for a block of 4 × 4.
inline void transpose4(float* to, size_t toStride, const float* from, size_t fromStride) {
  typedef float Four __attribute__((vector_size(16)));
  Four r0, r1, r2, r3;
  __builtin_memcpy(&r0, from, 16);
  __builtin_memcpy(&r1, from + fromStride, 16);
  __builtin_memcpy(&r2, from + 2 * fromStride, 16);
  __builtin_memcpy(&r3, from + 3 * fromStride, 16);
  const Four a = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
  const Four b = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
  const Four c = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
  const Four d = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
  const Four c0 = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  const Four c1 = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  const Four c2 = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  const Four c3 = __builtin_shufflevector(c, d, 2, 3, 6, 7);
  __builtin_memcpy(to, &c0, 16);
  __builtin_memcpy(to + toStride, &c1, 16);
  __builtin_memcpy(to + 2 * toStride, &c2, 16);
  __builtin_memcpy(to + 3 * toStride, &c3, 16);
}

// b is n × k (weights, keys): `columns` rows of it, `run` values from each, transposed.
inline void packRows(float* panel, const float* b, size_t stride, size_t columns, size_t run) {
  size_t j = 0;
  for (; j + 4 <= columns; j += 4) {
    const float* from = b + j * stride;
    size_t k = 0;
    for (; k + 4 <= run; k += 4) {
      // The pieces of rows are too short for the processor to foresee the next ones.
      if (j + 8 <= columns) __builtin_prefetch(from + (4 + k / 4 % 4) * stride + (k & ~size_t{15}));
      transpose4(panel + k * kPanel + j, kPanel, from + k, stride);
    }
    for (; k < run; ++k) {
      for (size_t i = 0; i < 4; ++i) panel[k * kPanel + j + i] = from[i * stride + k];
    }
  }
  for (; j < columns; ++j) {
    for (size_t k = 0; k < run; ++k) panel[k * kPanel + j] = b[j * stride + k];
  }
  if (columns == kPanel) return;
  for (size_t k = 0; k < run; ++k) {
    __builtin_memset(panel + k * kPanel + columns, 0, (kPanel - columns) * sizeof(float));
  }
}

// b is k × n (values of attention): `run` rows of it, `columns` values from each.
inline void packColumns(float* panel, const float* b, size_t stride, size_t columns, size_t run) {
  for (size_t k = 0; k < run; ++k) {
    __builtin_memcpy(panel + k * kPanel, b + k * stride, columns * sizeof(float));
    __builtin_memset(panel + k * kPanel + columns, 0, (kPanel - columns) * sizeof(float));
  }
}

struct Tile {
  const float* a;
  size_t aStride;
  const float* panel;
  size_t run;
  float* c;
  size_t cStride;
  size_t columns;  // of the panel that exist in c
  bool first;      // first run: c is written, not added to
};

template <size_t kRows>
inline void multiplyTile(const Tile& tile) {
  Floats sums[kRows][kVectors] = {};
  const float* rows[kRows];
#pragma GCC unroll 8
  for (size_t i = 0; i < kRows; ++i) rows[i] = tile.a + i * tile.aStride;
    // Rows of c lie on pages of their own: asked for now, they are here when the sums are ready.
#pragma GCC unroll 8
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t j = 0; j < kPanel; j += 16) {
      __builtin_prefetch(tile.c + i * tile.cStride + j, 1);
    }
  }
  const float* panel = tile.panel;
  for (size_t k = 0; k < tile.run; ++k, panel += kPanel) {
    Floats b[kVectors];
#pragma GCC unroll 8
    for (size_t v = 0; v < kVectors; ++v) b[v] = load(panel + v * kLanes);
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
      const float a = rows[i][k];
#pragma GCC unroll 8
      for (size_t v = 0; v < kVectors; ++v) sums[i][v] += b[v] * a;
    }
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < kRows; ++i) {
    float* c = tile.c + i * tile.cStride;
    float edge[kPanel];
    float* target = c;
    if (tile.columns < kPanel) {
      if (!tile.first) __builtin_memcpy(edge, c, tile.columns * sizeof(float));
      target = edge;
    }
#pragma GCC unroll 8
    for (size_t v = 0; v < kVectors; ++v) {
      float* to = target + v * kLanes;
      store(to, tile.first ? sums[i][v] : load(to) + sums[i][v]);
    }
    if (tile.columns < kPanel) __builtin_memcpy(c, edge, tile.columns * sizeof(float));
  }
}

template <size_t kRows>
inline void multiplyRest(const Tile& tile, size_t rows) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      multiplyTile<kRows>(tile);
    } else {
      multiplyRest<kRows - 1>(tile, rows);
    }
  }
}

template <bool kContractsRowsOfB>
inline void product(const GemmArguments& task) {
  alignas(64) float panel[kRun * kPanel];
  for (size_t j = 0; j < task.n; j += kPanel) {
    const size_t columns = task.n - j < kPanel ? task.n - j : kPanel;
    // One pass at least, so that an empty contraction gives zeros.
    for (size_t k = 0; k == 0 || k < task.k; k += kRun) {
      const size_t run = task.k - k < kRun ? task.k - k : kRun;
      if (kContractsRowsOfB) {
        packRows(panel, task.b + j * task.bStride + k, task.bStride, columns, run);
      } else {
        packColumns(panel, task.b + k * task.bStride + j, task.bStride, columns, run);
      }
      Tile tile{task.a + k, task.aStride, panel, run, task.c + j, task.cStride, columns, k == 0};
      size_t i = 0;
      for (; i + kTileRows <= task.m; i += kTileRows) {
        multiplyTile<kTileRows>(tile);
        tile.a += kTileRows * task.aStride;
        tile.c += kTileRows * task.cStride;
      }
      multiplyRest<kTileRows - 1>(tile, task.m - i);
    }
  }
}

void gemm(const GemmArguments& task) { product<true>(task); }

// SPDX-License-Identifier: GPL-3.0-or-later
// A tile of rows × vectors stays in registers while all pivots pass. kVectorBytes and kTileVectors
// are those of the target; -ffp-contract=off keeps products from being fused.

constexpr size_t kTileRows = 4;

template <typename T>
struct Vectors {
  typedef T Type __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
  static constexpr size_t kLanes = kVectorBytes / sizeof(T);
};

template <typename T, size_t kRows, size_t kVectors>
void eliminateTile(const Elimination<T>& task, size_t row, size_t column) {
  using Vector = typename Vectors<T>::Type;
  constexpr size_t kLanes = Vectors<T>::kLanes;
  Vector sums[kRows][kVectors];
  for (size_t r = 0; r < kRows; ++r) {
    const T* from = task.rows + (row + r) * task.rowStride + column;
    for (size_t v = 0; v < kVectors; ++v)
      sums[r][v] = *reinterpret_cast<const Vector*>(from + v * kLanes);
  }
  const T* factors = task.factors + row * task.factorRowStride;
  const T* pivot = task.pivots + column;
  for (size_t k = 0; k < task.pivotCount; ++k, pivot += task.pivotStride) {
    for (size_t r = 0; r < kRows; ++r) {
      const T factor = factors[r * task.factorRowStride + k * task.factorStride];
      for (size_t v = 0; v < kVectors; ++v)
        sums[r][v] -= factor * *reinterpret_cast<const Vector*>(pivot + v * kLanes);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    T* to = task.rows + (row + r) * task.rowStride + column;
    for (size_t v = 0; v < kVectors; ++v) *reinterpret_cast<Vector*>(to + v * kLanes) = sums[r][v];
  }
}

template <typename T, size_t kRows>
void eliminateRows(const Elimination<T>& task, size_t row) {
  constexpr size_t kLanes = Vectors<T>::kLanes;
  size_t column = 0;
  for (; column + kTileVectors * kLanes <= task.columns; column += kTileVectors * kLanes)
    eliminateTile<T, kRows, kTileVectors>(task, row, column);
  for (; column + 2 * kLanes <= task.columns; column += 2 * kLanes)
    eliminateTile<T, kRows, 2>(task, row, column);
  for (; column + kLanes <= task.columns; column += kLanes)
    eliminateTile<T, kRows, 1>(task, row, column);
  for (; column < task.columns; ++column) {
    for (size_t r = 0; r < kRows; ++r) {
      T& value = task.rows[(row + r) * task.rowStride + column];
      const T* factors = task.factors + (row + r) * task.factorRowStride;
      for (size_t k = 0; k < task.pivotCount; ++k)
        value -= factors[k * task.factorStride] * task.pivots[k * task.pivotStride + column];
    }
  }
}

template <typename T>
void eliminateAll(const Elimination<T>& task) {
  size_t row = 0;
  for (; row + kTileRows <= task.rowCount; row += kTileRows) eliminateRows<T, kTileRows>(task, row);
  for (; row < task.rowCount; ++row) eliminateRows<T, 1>(task, row);
}

constexpr EliminationKernels kKernels = {eliminateAll<float>, eliminateAll<double>};

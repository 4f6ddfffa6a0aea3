// SPDX-License-Identifier: GPL-3.0-or-later
// Attention of one head on tiles. Keys and values of a sequence are brought into right tiles once
// for all heads and queries that read them; then 32 queries at a time take scores, softmax and the
// sum over values. Scores of positions that a query must not see are zeros when values are summed.

constexpr size_t kAttendRows = 2 * kTile;

inline size_t wholeSteps(size_t positions) { return tileSteps(positions) * kTileStep; }

size_t tileKeyBytes(size_t positions, size_t headWidth, size_t parts) {
  return tileSteps(positions) * tileInputBytes(kPairColumns, headWidth, parts);
}

size_t tileValueBytes(size_t positions, size_t valueWidth, size_t parts) {
  const size_t pairs = (valueWidth + kPairColumns - 1) / kPairColumns;
  return pairs * tileInputBytes(kPairColumns, positions, parts);
}

template <size_t kParts>
inline void packKeys(const TileContext& task) {
  const size_t pairBytes = tileInputBytes(kPairColumns, task.headWidth, kParts);
  for (size_t position = 0; position < task.positions; position += kPairColumns) {
    const size_t rest = task.positions - position;
    packPair<kParts>(task.keys + position * task.keyStride, task.keyStride,
                     rest < kPairColumns ? rest : kPairColumns, task.headWidth,
                     task.keyTiles + position / kPairColumns * pairBytes);
  }
}

template <size_t kParts>
inline void packValues(const TileContext& task) {
  const size_t pairBytes = tileInputBytes(kPairColumns, task.positions, kParts);
  uint8_t* to = task.valueTiles;
  for (size_t column = 0; column < task.valueWidth; column += kPairColumns, to += pairBytes) {
    const size_t rest = task.valueWidth - column;
    packTurned<kParts>(task.values + column, task.valueStride,
                       rest < kPairColumns ? rest : kPairColumns, task.positions, to);
  }
}

void tilePackContext(const TileContext& task) {
  if (task.parts == 2) {
    packKeys<2>(task);
    packValues<2>(task);
  } else {
    packKeys<1>(task);
    packValues<1>(task);
  }
}

size_t tileAttendScratch(size_t positions, size_t headWidth, size_t parts) {
  return tileInputBytes(kAttendRows, headWidth, parts) +
         tileInputBytes(kAttendRows, positions, parts) +
         kAttendRows * wholeSteps(positions) * sizeof(float);
}

template <size_t kParts>
inline void prepareRows(const float* a, size_t stride, size_t rows, size_t k, uint8_t* to) {
  const size_t strip = tileInputBytes(kTile, k, kParts);
  prepareStrip<kParts>(a, stride, rows < kTile ? rows : kTile, k, to);
  if (rows > kTile) prepareStrip<kParts>(a + kTile * stride, stride, rows - kTile, k, to + strip);
}

// Up to 32 queries at positions `position` … of the sequence.
template <size_t kParts>
inline void attendRows(const TileAttention& task, size_t first, size_t rows) {
  const size_t seen = task.firstPosition + first + rows;  // by the last of them
  const size_t width = wholeSteps(seen);
  const size_t headSteps = tileSteps(task.headWidth);
  const size_t queryStrip = tileInputBytes(kTile, task.headWidth, kParts);
  const size_t scoreStrip = tileInputBytes(kTile, width, kParts);
  uint8_t* queries = task.scratch;
  uint8_t* weights = queries + 2 * queryStrip;
  float* scores = reinterpret_cast<float*>(weights + 2 * scoreStrip);

  prepareRows<kParts>(task.queries + first * task.queryStride, task.queryStride, rows,
                      task.headWidth, queries);
  const uint8_t* lower = rows > kTile ? queries + queryStrip : queries;
  for (size_t position = 0; position < width; position += kPairColumns) {
    multiplyTiles<kParts>(queries, lower, task.keyTiles + position / kPairColumns * 2 * queryStrip,
                          headSteps);
    storeTiles(scores + position, width, rows, kPairColumns);
  }
  for (size_t i = 0; i < rows; ++i) {
    float* row = scores + i * width;
    const size_t allowed = seen - rows + i + 1;
    scale(row, row, task.scale, allowed);
    softmax(row, allowed);
    __builtin_memset(row + allowed, 0, (width - allowed) * sizeof(float));
  }
  prepareRows<kParts>(scores, width, rows, width, weights);
  lower = rows > kTile ? weights + scoreStrip : weights;
  const size_t pairBytes = tileInputBytes(kPairColumns, task.positions, kParts);
  for (size_t column = 0; column < task.valueWidth; column += kPairColumns) {
    const size_t rest = task.valueWidth - column;
    multiplyTiles<kParts>(weights, lower, task.valueTiles + column / kPairColumns * pairBytes,
                          tileSteps(width));
    storeTiles(task.out + first * task.outStride + column, task.outStride, rows,
               rest < kPairColumns ? rest : kPairColumns);
  }
}

void tileAttend(const TileAttention& task) {
  const TileScope scope;
  for (size_t first = 0; first < task.count; first += kAttendRows) {
    const size_t rest = task.count - first;
    const size_t rows = rest < kAttendRows ? rest : kAttendRows;
    if (task.parts == 2) {
      attendRows<2>(task, first, rows);
    } else {
      attendRows<1>(task, first, rows);
    }
  }
}

constexpr TileKernels kTileTable = {.rows = kTile,
                                    .columns = kPairColumns,
                                    .inputBytes = tileInputBytes,
                                    .prepare = tilePrepare,
                                    .multiply = tileMultiply,
                                    .keyBytes = tileKeyBytes,
                                    .valueBytes = tileValueBytes,
                                    .packContext = tilePackContext,
                                    .attendScratch = tileAttendScratch,
                                    .attend = tileAttend};

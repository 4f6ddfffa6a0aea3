// SPDX-License-Identifier: GPL-3.0-or-later
// Attention of one head as two products with a softmax between: scores = q·kᵀ, out = p·v. Scores of
// later positions are set to zero after the softmax of the allowed ones; adding 0·v changes no sum,
// so a query's result is the same in whatever block of queries it is computed.

void attention(const AttentionArguments& task) {
  const size_t positions = task.firstPosition + task.count;
  const GemmArguments scores{.a = task.queries,
                             .aStride = task.queryStride,
                             .b = task.keys,
                             .bStride = task.keyStride,
                             .c = task.scratch,
                             .cStride = positions,
                             .m = task.count,
                             .n = positions,
                             .k = task.headWidth};
  product<true>(scores);
  for (size_t i = 0; i < task.count; ++i) {
    float* row = task.scratch + i * positions;
    const size_t seen = task.firstPosition + i + 1;
    scale(row, row, task.scale, seen);
    softmax(row, seen);
    __builtin_memset(row + seen, 0, (positions - seen) * sizeof(float));
  }
  const GemmArguments mixed{.a = task.scratch,
                            .aStride = positions,
                            .b = task.values,
                            .bStride = task.valueStride,
                            .c = task.out,
                            .cStride = task.outStride,
                            .m = task.count,
                            .n = task.valueWidth,
                            .k = positions};
  product<false>(mixed);
}

// One token. Rows of the cache lie apart, so they are asked for a few positions ahead; a run of
// kCount vectors of every row is read at a time, with the query's part, or the sums, in registers.
constexpr size_t kMostVectors = 8;
constexpr size_t kPositionsAhead = 12;

template <size_t kCount>
inline void addScores(const float* query, const uint16_t* keys, size_t stride, size_t positions,
                      bool first, float* scores) {
  Floats parts[kCount];
#pragma GCC unroll 8
  for (size_t v = 0; v < kCount; ++v) parts[v] = load(query + v * kLanes);
  for (size_t position = 0; position < positions; ++position, keys += stride) {
    __builtin_prefetch(keys + kPositionsAhead * stride);
    __builtin_prefetch(keys + kPositionsAhead * stride + (kCount * kLanes - 1));
    Floats sums[2] = {};
#pragma GCC unroll 8
    for (size_t v = 0; v < kCount; ++v) sums[v % 2] += parts[v] * halfLanes(keys + v * kLanes);
    const float sum = sumLanes(sums[0] + sums[1]);
    scores[position] = first ? sum : scores[position] + sum;
  }
}

template <size_t kCount>
inline void mixValues(const float* scores, const uint16_t* values, size_t stride, size_t positions,
                      float* out) {
  Floats sums[kCount] = {};
  for (size_t position = 0; position < positions; ++position, values += stride) {
    __builtin_prefetch(values + kPositionsAhead * stride);
    __builtin_prefetch(values + kPositionsAhead * stride + (kCount * kLanes - 1));
#pragma GCC unroll 8
    for (size_t v = 0; v < kCount; ++v) sums[v] += halfLanes(values + v * kLanes) * scores[position];
  }
#pragma GCC unroll 8
  for (size_t v = 0; v < kCount; ++v) store(out + v * kLanes, sums[v]);
}

// Calls work.operator()<n>() for n = count.
template <size_t kCount, typename Work>
inline void withCount(size_t count, const Work& work) {
  if constexpr (kCount > 0) {
    if (count == kCount) {
      work.template operator()<kCount>();
    } else {
      withCount<kCount - 1>(count, work);
    }
  }
}

// Columns past the last whole vector.
inline void addLastScores(const OneTokenAttention& task, const float* query, size_t done,
                          float* scores) {
  for (size_t position = 0; position < task.positions; ++position) {
    const Floats key =
        halfLanesPart(task.keys + position * task.keyStride + done, task.headWidth - done);
    const float sum = sumLanes(loadPart(query + done, task.headWidth - done) * key);
    scores[position] = done == 0 ? sum : scores[position] + sum;
  }
}

inline void mixLastValues(const OneTokenAttention& task, const float* scores, size_t done,
                          float* out) {
  Floats sum = {};
  for (size_t position = 0; position < task.positions; ++position) {
    sum += halfLanesPart(task.values + position * task.valueStride + done,
                         task.valueWidth - done) *
           scores[position];
  }
  storePart(out + done, sum, task.valueWidth - done);
}

void attendOne(const OneTokenAttention& task) {
  for (size_t head = 0; head < task.heads; ++head) {
    const float* query = task.queries + head * task.headWidth;
    float* scores = task.scores + head * task.positions;
    float* out = task.out + head * task.valueWidth;
    size_t done = 0;
    while (task.headWidth - done >= kLanes) {
      const size_t rest = (task.headWidth - done) / kLanes;
      const size_t count = rest < kMostVectors ? rest : kMostVectors;
      withCount<kMostVectors>(count, [&]<size_t kCount>() {
        addScores<kCount>(query + done, task.keys + done, task.keyStride, task.positions,
                          done == 0, scores);
      });
      done += count * kLanes;
    }
    if (done < task.headWidth) addLastScores(task, query, done, scores);
    scale(scores, scores, task.scale, task.positions);
    softmax(scores, task.positions);
    for (done = 0; task.valueWidth - done >= kLanes;) {
      const size_t rest = (task.valueWidth - done) / kLanes;
      const size_t count = rest < kMostVectors ? rest : kMostVectors;
      withCount<kMostVectors>(count, [&]<size_t kCount>() {
        mixValues<kCount>(scores, task.values + done, task.valueStride, task.positions,
                          out + done);
      });
      done += count * kLanes;
    }
    if (done < task.valueWidth) mixLastValues(task, scores, done, out);
  }
}

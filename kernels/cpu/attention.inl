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

// Σ a·b, b as halves; the lanes are added at the end.
inline float dotHalves(const float* a, const uint16_t* b, size_t count) {
  Floats sum = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) sum += load(a + i) * halfLanes(b + i);
  if (i < count) sum += loadPart(a + i, count - i) * halfLanesPart(b + i, count - i);
  return sumLanes(sum);
}

// out ← Σ over positions of score · value, for columns [first, first + kLanes) of one head.
inline Floats mixedValues(const OneTokenAttention& task, size_t head, size_t first) {
  const float* scores = task.scores + head * task.positions;
  const uint16_t* value = task.values + first;
  const size_t count = task.valueWidth - first;
  Floats sums[2] = {};
  for (size_t position = 0; position < task.positions; ++position, value += task.valueStride) {
    const Floats lanes = count < kLanes ? halfLanesPart(value, count) : halfLanes(value);
    sums[position % 2] += lanes * scores[position];
  }
  return sums[0] + sums[1];
}

void attendOne(const OneTokenAttention& task) {
  for (size_t head = 0; head < task.heads; ++head) {
    float* scores = task.scores + head * task.positions;
    for (size_t position = 0; position < task.positions; ++position) {
      scores[position] =
          task.scale * dotHalves(task.queries + head * task.headWidth,
                                 task.keys + position * task.keyStride, task.headWidth);
    }
    softmax(scores, task.positions);
    float* out = task.out + head * task.valueWidth;
    for (size_t i = 0; i < task.valueWidth; i += kLanes) {
      const Floats mixed = mixedValues(task, head, i);
      if (task.valueWidth - i < kLanes) {
        storePart(out + i, mixed, task.valueWidth - i);
      } else {
        store(out + i, mixed);
      }
    }
  }
}

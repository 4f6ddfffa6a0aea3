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

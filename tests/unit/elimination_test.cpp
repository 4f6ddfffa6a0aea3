// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/cpu/elimination.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace bitloom {
namespace {

template <typename T>
std::vector<T> randomValues(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<T> values(count);
  for (T& value : values) value = T(normal(random));
  return values;
}

// Every processor's kernels give the bits of the plain loop, for sizes around those of tiles.
template <typename T>
void compareWithThePlainLoop(void (*eliminateAll)(const Elimination<T>&), const char* cpu) {
  for (const size_t rows : {1, 3, 4, 9}) {
    for (const size_t pivots : {0, 1, 7}) {
      for (const size_t columns : {0, 1, 15, 16, 17, 63, 64, 65, 150}) {
        const size_t stride = columns + 3;
        const auto before = randomValues<T>(rows * stride, 1);
        const auto factors = randomValues<T>(rows * pivots * 2 + 1, 2);
        const auto above = randomValues<T>(pivots * (columns + 5) + 1, 3);
        std::vector<T> got = before, wanted = before;
        eliminateAll({.rows = got.data(),
                      .rowStride = stride,
                      .rowCount = rows,
                      .factors = factors.data(),
                      .factorRowStride = 2,
                      .factorStride = rows * 2,
                      .pivots = above.data(),
                      .pivotStride = columns + 5,
                      .pivotCount = pivots,
                      .columns = columns});
        for (size_t r = 0; r < rows; ++r) {
          for (size_t j = 0; j < columns; ++j) {
            for (size_t k = 0; k < pivots; ++k) {
              volatile T product = factors[r * 2 + k * rows * 2] * above[k * (columns + 5) + j];
              wanted[r * stride + j] -= product;
            }
          }
        }
        ASSERT_EQ(got, wanted) << cpu << " " << rows << " × " << pivots << " × " << columns;
      }
    }
  }
}

TEST(Elimination, EveryProcessorGivesTheBitsOfThePlainLoop) {
  int tables = 0;
  for (const char* cpu : {"scalar", "avx2", "avx512", "amx"}) {
    const EliminationKernels* kernels = findEliminationKernels(cpu);
    if (kernels == nullptr) continue;
    ++tables;
    compareWithThePlainLoop<float>(kernels->floats, cpu);
    compareWithThePlainLoop<double>(kernels->doubles, cpu);
  }
  EXPECT_GE(tables, 1);
  EXPECT_EQ(findEliminationKernels("z80"), nullptr);
}

}  // namespace
}  // namespace bitloom

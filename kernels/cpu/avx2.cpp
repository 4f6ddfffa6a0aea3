// SPDX-License-Identifier: GPL-3.0-or-later
// AVX2 with FMA and F16C. Empty when the compiler was not asked for them.
#include "kernels/base/levels.h"
#include "kernels/cpu/kernels.h"

#ifdef __AVX2__
#include <immintrin.h>

namespace bitloom {
namespace {

constexpr const char* kTargetName = "avx2";
constexpr size_t kLanes = 8;
constexpr size_t kVectors = 3;
constexpr size_t kTileRows = 4;  // 12 sums, 3 parts of b and one of a fill 16 registers

#define BITLOOM_WIDE "kernels/cpu/wide_avx2.inl"
#include "kernels/cpu/all.inl"

}  // namespace

extern const CpuKernels kAvx2Kernels;
const CpuKernels kAvx2Kernels = kTable;

}  // namespace bitloom
#endif

// SPDX-License-Identifier: GPL-3.0-or-later
// AVX-512 F, BW, VL, DQ, VNNI, VBMI, BF16 and the matrix unit (AMX) for bfloat16. Empty when the
// compiler was not asked for them.
#include "kernels/base/levels.h"
#include "kernels/cpu/kernels.h"

#ifdef __AMX_BF16__
#include <immintrin.h>

namespace bitloom {
namespace {

constexpr const char* kTargetName = "amx";
constexpr size_t kLanes = 16;
constexpr size_t kVectors = 3;
constexpr size_t kTileRows = 8;  // 24 sums, 3 parts of b and one of a of 32 registers

#define BITLOOM_TILES
#define BITLOOM_WIDE "kernels/cpu/wide_avx512.inl"
#include "kernels/cpu/all.inl"

}  // namespace

extern const CpuKernels kAmxKernels;
const CpuKernels kAmxKernels = kTable;

}  // namespace bitloom
#endif

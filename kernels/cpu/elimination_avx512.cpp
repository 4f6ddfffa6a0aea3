// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/cpu/elimination.h"

#ifdef __AVX512F__
namespace bitloom {
namespace {

constexpr size_t kVectorBytes = 64;
constexpr size_t kTileVectors = 4;
#include "kernels/cpu/elimination.inl"

}  // namespace

extern const EliminationKernels kAvx512Elimination;
const EliminationKernels kAvx512Elimination = kKernels;

}  // namespace bitloom
#endif

// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/cpu/elimination.h"

#ifdef __AVX2__
namespace bitloom {
namespace {

constexpr size_t kVectorBytes = 32;
constexpr size_t kTileVectors = 2;
#include "kernels/cpu/elimination.inl"

}  // namespace

extern const EliminationKernels kAvx2Elimination;
const EliminationKernels kAvx2Elimination = kKernels;

}  // namespace bitloom
#endif

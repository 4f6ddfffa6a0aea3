// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/cpu/elimination.h"

namespace bitloom {
namespace {

constexpr size_t kVectorBytes = 16;
constexpr size_t kTileVectors = 2;
#include "kernels/cpu/elimination.inl"

}  // namespace

extern const EliminationKernels kScalarElimination;
const EliminationKernels kScalarElimination = kKernels;

}  // namespace bitloom

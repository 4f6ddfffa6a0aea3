// SPDX-License-Identifier: GPL-3.0-or-later
// The table that runs everywhere: what the language's baseline target offers, no fused
// multiply-add.
#include "kernels/base/levels.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr const char* kTargetName = "scalar";
constexpr size_t kLanes = 4;
constexpr size_t kVectors = 2;
constexpr size_t kTileRows = 4;  // 8 of 16 registers hold sums

#define BITLOOM_WIDE "kernels/cpu/wide_scalar.inl"
#include "kernels/cpu/all.inl"

}  // namespace

extern const CpuKernels kScalarKernels;
const CpuKernels kScalarKernels = kTable;

}  // namespace bitloom

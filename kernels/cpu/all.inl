// SPDX-License-Identifier: GPL-3.0-or-later
// Every kernel, and the table of them. A target's file defines kTargetName, kLanes, kVectors and
// kTileRows inside an anonymous namespace and includes this there.
#include "kernels/cpu/vector.inl"

#include "kernels/cpu/gemm.inl"
#include "kernels/cpu/rows.inl"

#include "kernels/cpu/attention.inl"
#include "kernels/cpu/divergence.inl"
#include "kernels/cpu/half.inl"

constexpr CpuKernels kTable = {.name = kTargetName,
                               .gemmColumns = kPanel,
                               .gemm = gemm,
                               .attention = attention,
                               .rope = rope,
                               .rmsNorm = rmsNorm,
                               .softmax = softmax,
                               .siluGate = siluGate,
                               .geluGate = geluGate,
                               .add = add,
                               .scale = scale,
                               .exp = expRow,
                               .largest = largestOfRow,
                               .sumExp = sumExp,
                               .divergence = divergence,
                               .f16ToF32 = f16ToF32,
                               .f32ToF16 = f32ToF16};

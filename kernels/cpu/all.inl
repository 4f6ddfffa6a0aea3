// SPDX-License-Identifier: GPL-3.0-or-later
// Every kernel, and the table of them. A target's file defines kTargetName, kLanes, kVectors and
// kTileRows inside an anonymous namespace, and BITLOOM_WIDE, and includes this there.
#include "kernels/cpu/vector.inl"

#include "kernels/cpu/gemm.inl"
#include "kernels/cpu/rows.inl"

#include "kernels/cpu/gradients.inl"

#include "kernels/cpu/half.inl"

#include "kernels/cpu/attention.inl"
#include "kernels/cpu/divergence.inl"

#include BITLOOM_WIDE

#ifdef BITLOOM_TILES
#include "kernels/cpu/tiles.inl"

#include "kernels/cpu/tile_attention.inl"
#endif

#include "kernels/cpu/activations.inl"
#include "kernels/cpu/float_panels.inl"
#include "kernels/cpu/panels.inl"

#include "kernels/cpu/layouts.inl"

#include "panel_codecs.inl"

#ifdef BITLOOM_TILES
constexpr const TileKernels* kTiles = &kTileTable;
#else
constexpr const TileKernels* kTiles = nullptr;
#endif

constexpr CpuKernels kTable = {.name = kTargetName,
                               .gemmColumns = kPanel,
                               .gemm = gemm,
                               .attention = attention,
                               .attendOne = attendOne,
                               .rope = rope,
                               .rmsNorm = rmsNorm,
                               .softmax = softmax,
                               .siluGate = siluGate,
                               .geluGate = geluGate,
                               .add = add,
                               .scale = scale,
                               .exp = expRow,
                               .rmsNormGradient = rmsNormGradient,
                               .siluGateGradient = siluGateGradient,
                               .geluGateGradient = geluGateGradient,
                               .softmaxGradient = softmaxGradient,
                               .dot = dot,
                               .gradientProducts = gradientProducts,
                               .largest = largestOfRow,
                               .sumExp = sumExp,
                               .divergence = divergence,
                               .roundActivations = roundActivations,
                               .rotateActivations = rotateActivations,
                               .panelCodecs = kPanelCodecs,
                               .panelCodecCount = sizeof kPanelCodecs / sizeof kPanelCodecs[0],
                               .tiles = kTiles,
                               .f16ToF32 = f16ToF32,
                               .f32ToF16 = f32ToF16};

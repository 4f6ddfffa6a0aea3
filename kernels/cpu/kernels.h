// SPDX-License-Identifier: GPL-3.0-or-later
// Arithmetic of inference in f32, once for each instruction set. `cpuKernels()` chooses the best
// table that the processor runs; BITLOOM_CPU=scalar|avx2|avx512|amx asks for another one (a table
// that the processor lacks is not taken). Kernels own nothing, start no threads, cannot fail:
// callers check sizes and cut the work. Any thread.
//
// Matrices are row-major; a stride counts floats from one row to the next. Pointers need no
// alignment. Outputs do not overlap inputs unless a comment allows it.
//
// What a table promises about rounding: an element of a result depends on its own operands only,
// not on how many other rows or columns were computed with it. So a token's values are the same
// bits in every batch and under every division of work. Two tables differ in the last bits.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/panels.h"

namespace bitloom {

// c[m × n] = a[m × k] · b[n × k]ᵀ; both contract along their rows (activations × weights).
// k is summed in runs of a fixed length, in ascending order inside a run and over runs.
struct GemmArguments {
  const float* a;
  size_t aStride;
  const float* b;
  size_t bStride;
  float* c;  // overwritten
  size_t cStride;
  size_t m;
  size_t n;
  size_t k;
};

// One head of causal attention: `count` queries at positions firstPosition … of one sequence, over
// keys and values of the positions [0, firstPosition + count).
struct AttentionArguments {
  const float* queries;  // count × headWidth
  size_t queryStride;
  const float* keys;  // positions × headWidth
  size_t keyStride;
  const float* values;  // positions × valueWidth
  size_t valueStride;
  float* out;  // count × valueWidth
  size_t outStride;
  size_t count;
  size_t firstPosition;
  size_t headWidth;
  size_t valueWidth;
  float scale;     // of q·k
  float* scratch;  // count × (firstPosition + count) floats
};

// The heads of one token that share keys and values, over these as halves.
struct OneTokenAttention {
  const float* queries;  // heads × headWidth, end to end
  size_t heads;
  const uint16_t* keys;  // positions × headWidth
  size_t keyStride;      // halves
  const uint16_t* values;
  size_t valueStride;
  size_t positions;
  size_t headWidth;
  size_t valueWidth;
  float scale;
  float* out;     // heads × valueWidth
  float* scores;  // heads × positions
};

// Heads of one token to be rotated in place. `cosines` and `sines` hold one value for each pair;
// pairs are (2i, 2i+1) or (i, i + pairs). Values from 2·pairs on are left as they are.
struct RopeArguments {
  float* heads;  // headCount × headWidth
  size_t headCount;
  size_t headWidth;
  size_t pairs;
  const float* cosines;
  const float* sines;
  bool adjacent;
};

// Two rows of logits over one vocabulary and what their softmax needs: the largest logit of each,
// 1 / Σ e^(logit − largest), and log Σ eᵇ − log Σ eᵃ.
struct DivergenceArguments {
  const float* a;
  const float* b;
  size_t count;
  float largestA;
  float largestB;
  float scaleA;
  float scaleB;
  float shift;
};

// Reverse mode of one row of `rmsNorm` and of a gate: from the gradient of the output to those of
// the inputs, which are overwritten and do not overlap anything else.
struct NormGradient {
  float* inGradient;
  const float* in;
  const float* weight;
  const float* outGradient;
  size_t count;
  float epsilon;
};

struct GateGradient {
  float* gateGradient;
  float* upGradient;
  const float* gate;
  const float* up;
  const float* outGradient;
  size_t count;
};

// Inner products of changes of a weight with its gradient, which is not formed as a whole:
// products[i] += Σ change_i ⊙ Σ_t out[t]ᵀ·in[t].
struct GradientProducts {
  const float* in;  // tokens × columns
  size_t inStride;
  const float* out;  // tokens × rows
  size_t outStride;
  size_t tokens;
  size_t rows;
  size_t columns;
  const float* changes;  // count × rows × columns
  size_t count;
  double* products;
};

// Left side of products on tiles, in the tiles' own form: strips of `TileKernels::rows` rows. With
// one part a value is rounded to bfloat16 (relative error 2⁻⁹), with two to their sum (2⁻¹⁷).
struct TileInput {
  uint8_t* strips;  // inputBytes(rows, k, parts)
  const float* a;
  size_t aStride;
  size_t rows;
  size_t k;
  size_t parts;  // 1 or 2
};

// c[rows × n] = base + a · b[n × k]ᵀ; with `turned` b is k × n.
struct TileProduct {
  const uint8_t* strips;
  size_t rows;
  const float* b;  // or null: `scratch` holds the right tiles of n ≤ `columns` already
  size_t bStride;
  float* c;  // overwritten
  size_t cStride;
  size_t n;
  size_t k;
  size_t parts;
  uint8_t* scratch;             // inputBytes(columns, k, parts)
  const float* base = nullptr;  // or none; may be c
  size_t baseStride = 0;
  bool turned = false;
};

// Keys and values that one head of a sequence reads, and their tiles.
struct TileContext {
  const float* keys;  // positions × headWidth
  size_t keyStride;
  const float* values;  // positions × valueWidth
  size_t valueStride;
  size_t positions;
  size_t headWidth;
  size_t valueWidth;
  size_t parts;
  uint8_t* keyTiles;    // keyBytes
  uint8_t* valueTiles;  // valueBytes
};

// As AttentionArguments, over tiles of `positions` positions, of which the last query sees no more.
struct TileAttention {
  const float* queries;
  size_t queryStride;
  const uint8_t* keyTiles;
  const uint8_t* valueTiles;
  size_t positions;
  float* out;
  size_t outStride;
  size_t count;
  size_t firstPosition;
  size_t headWidth;
  size_t valueWidth;
  float scale;
  size_t parts;
  uint8_t* scratch;  // attendScratch(positions, headWidth, parts)
};

// Products by the processor's matrix unit. Same promise about rounding as `gemm`; with two parts
// the result is as close to the exact one as that of `gemm`, within a small factor.
struct TileKernels {
  size_t rows;     // of a strip
  size_t columns;  // n is best cut at multiples of this
  size_t (*inputBytes)(size_t rows, size_t k, size_t parts);
  void (*prepare)(const TileInput& task);
  void (*multiply)(const TileProduct& task);

  size_t (*keyBytes)(size_t positions, size_t headWidth, size_t parts);
  size_t (*valueBytes)(size_t positions, size_t valueWidth, size_t parts);
  void (*packContext)(const TileContext& task);
  size_t (*attendScratch)(size_t positions, size_t headWidth, size_t parts);
  void (*attend)(const TileAttention& task);
};

struct CpuKernels {
  const char* name;
  size_t gemmColumns;  // n is best cut at multiples of this

  void (*gemm)(const GemmArguments& task);
  void (*attention)(const AttentionArguments& task);
  void (*attendOne)(const OneTokenAttention& task);
  void (*rope)(const RopeArguments& task);

  // out[i] = in[i] · weight[i] / √(mean in² + epsilon); out may be in.
  void (*rmsNorm)(float* out, const float* in, const float* weight, size_t count, float epsilon);
  // In place; the sum of an all-finite row is 1. −inf gives 0.
  void (*softmax)(float* row, size_t count);
  // out[i] = activation(gate[i]) · up[i]; out may be either input. GELU in its tanh form.
  void (*siluGate)(float* out, const float* gate, const float* up, size_t count);
  void (*geluGate)(float* out, const float* gate, const float* up, size_t count);
  // out = left + right and out = factor · in; out may be an input.
  void (*add)(float* out, const float* left, const float* right, size_t count);
  void (*scale)(float* out, const float* in, float factor, size_t count);
  // eˣ within 2 ulp; 0 below −87.33 (no subnormals), +inf above 88.72. out may be in.
  void (*exp)(float* out, const float* in, size_t count);

  void (*rmsNormGradient)(const NormGradient& task);
  void (*siluGateGradient)(const GateGradient& task);
  void (*geluGateGradient)(const GateGradient& task);
  // In place: from the gradient of a softmax's result to that of its argument.
  void (*softmaxGradient)(float* gradient, const float* probabilities, size_t count);
  double (*dot)(const float* left, const float* right, size_t count);  // f32 sums in lanes
  void (*gradientProducts)(const GradientProducts& task);

  // The largest value; NaN are passed over. Count is not 0.
  float (*largest)(const float* row, size_t count);
  // Σ e^(row − largest) in f64 over short f32 sums; NaN when a value is.
  double (*sumExp)(const float* row, size_t count, float largest);
  // KL(softmax a ‖ softmax b) in nats, relative error about 1e-6 however small it is.
  double (*divergence)(const DivergenceArguments& task);

  // Row of k = 32·m values → bytes (panels.h), and R·row in place: H·diag(s)/√32 on each 32.
  void (*roundActivations)(const float* row, size_t k, int8_t* codes, float* scales, int32_t* sums);
  void (*rotateActivations)(float* row, size_t k);
  const PanelCodec* panelCodecs;
  size_t panelCodecCount;

  const TileKernels* tiles;  // null: the processor has none

  // IEEE half precision, round to nearest even.
  void (*f16ToF32)(float* out, const uint16_t* in, size_t count);
  void (*f32ToF16)(uint16_t* out, const float* in, size_t count);
};

const CpuKernels& cpuKernels();

// The table of this name, or null: unknown here, or not for this processor.
const CpuKernels* findCpuKernels(const char* name);

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// A codec is a storage format: rows of floats ↔ bytes. It is a plain value; its lower-case name is
// its identity (GGUF type numbers live in runtime profiles, core/profile.h). One file in
// core/codecs/ adds one, and everything works on it through `decode`: inference, scan, quantize,
// the window's lists, the property tests. Layouts and constants: the file of each codec.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/base/result.h"

namespace bitloom {

// What methods that choose codes themselves (GPTQ, LDLQ, coordinate descent) see of a codec. They
// work on one *basis block* at a time, in the basis in which codes live.
struct Grid {
  size_t block;       // weights of one basis block; rows are a multiple of it
  size_t vector;      // values that are rounded together, 1 … 8
  size_t parameters;  // floats that `fit` yields for one block (scales, minima)

  // In place; the identity when null. `toBasis` is orthonormal, `fromBasis` its inverse.
  void (*toBasis)(float* block);
  void (*fromBasis)(float* block);

  // Chooses the block's parameters for `values` (in the basis) with column importances `weights`
  // (empty: all equal). Parameters are already rounded to what the layout stores.
  void (*fit)(std::span<const float> values, std::span<const float> weights,
              std::span<float> parameters);

  // Nearest code for `vector` values that begin at `index` of the block, and its value.
  void (*round)(const float* values, size_t index, std::span<const float> parameters,
                uint8_t* codes, float* rounded);

  // Writes one block of the layout: `block` codes and the parameters → bytes.
  void (*pack)(std::span<const float> parameters, std::span<const uint8_t> codes,
               std::span<std::byte> bytes);

  // 0, or the length of a shorter last block: rows are a multiple of it, and one that is not a
  // multiple of `block` ends in it. `fit` and `pack` take spans of that length then; `toBasis` and
  // `fromBasis` always transform `block` floats, so pad a last block with zeros.
  size_t tail = 0;

  // 0, or: value i of a block is parameters[i / scaleRun], a scale stored as f16, times a level
  // that the code and the parameters after the scales give. Such scales may be solved for anew
  // while the codes stay.
  size_t scaleRun = 0;

  // `fit` takes up to so many whole blocks at once, end to end, with their parameters end to end;
  // `weights` then hold for each of them.
  size_t fitBlocks = 1;
};

struct Codec {
  std::string_view name;      // "tq3_1s"
  std::string_view title;     // "TQ3_1S", for people
  std::string_view summary;   // one sentence
  std::string_view fallback;  // codec for rows that this one cannot hold; "" when it holds any
  double bits;                // bits per weight on long rows

  // Bytes of a row of `n` weights; 0 when n is not a length that the layout holds.
  uint64_t (*rowBytes)(uint64_t n);

  // `row` → `bytes` (exactly rowBytes(row.size())). `weights` holds an importance per column, or is
  // empty; codecs without a search ignore it. Input is finite. Deterministic on every machine.
  void (*encode)(std::span<const float> row, std::span<const float> weights,
                 std::span<std::byte> bytes);
  // Defined for any bytes whatever.
  void (*decode)(std::span<const std::byte> bytes, std::span<float> row);

  const Grid* grid = nullptr;

  // For models that were trained in this format: rounding any other one to it loses too much.
  // Nothing offers it as a step of quality or as a stand-in; whoever asks for it gets it.
  bool forTrained = false;
};

// One tensor's encoded rows. Sidecars are named tensors that do not fit a row (none yet).
struct Encoded {
  const Codec* codec = nullptr;
  uint64_t rowLength = 0;
  std::vector<std::byte> bytes;
};

// In the order of names; as compiled for this processor, or for the one that BITLOOM_CPU asks for.
std::span<const Codec* const> codecs();
const Codec* findCodec(std::string_view name);  // null when unknown

// The codecs as compiled for `cpu` (names as in kernels/cpu/kernels.h); empty when it is unknown or
// not this one's. All give the same bytes and floats, at different speeds.
std::vector<const Codec*> codecsFor(std::string_view cpu);

// The codec itself, or the first of its chain of fallbacks that holds rows of `rowLength`.
// f16 holds any row, so the chain always ends.
const Codec* effectiveCodec(const Codec* requested, uint64_t rowLength);

// Relative squared error on Gaussian weights without importances, measured on first use. Where two
// codecs of one size would do, the one with the lower figure is taken. Any thread.
double gaussianError(const Codec& codec);

}  // namespace bitloom

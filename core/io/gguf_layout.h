// SPDX-License-Identifier: GPL-3.0-or-later
// Where every byte of a planned GGUF file goes, before anything is written. Pure: a model's header,
// a plan's choices and a runtime profile give metadata, type numbers, offsets and the exact size.
//
// Sizes are additive, which is what allocators rely on:
//
//   file = roundUp(fixed header + Σ header bytes of tensors' extra keys) + Σ padded tensor data
//
// and everything fixed depends on the model and the profile alone: the recipe inside the file is
// padded with spaces to a capacity that follows from the number of tensors.
// Source: GGUF specification, version 3 (little-endian; the data of each tensor starts and ends at
// a multiple of `general.alignment`, the last one included).
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/metadata.h"
#include "core/model.h"
#include "core/profile.h"
#include "core/recipe.h"

namespace bitloom {

// A tensor as a GGUF header lists it.
struct PlacedTensor {
  std::string name;
  std::array<uint64_t, 4> shape{1, 1, 1, 1};
  uint32_t dimensions = 1;
  uint32_t type = 0;         // ggml_type
  uint64_t offset = 0;       // from the start of the data
  uint64_t bytes = 0;        // padding excluded
  bool bitloomOnly = false;  // stored as I8: the profile has no number for the codec
};

struct FileLayout {
  uint64_t alignment = 32;
  uint64_t headerBytes = 0;  // before padding
  uint64_t dataStart = 0;
  uint64_t fileBytes = 0;
  std::vector<PlacedTensor> tensors;  // in the order of Model::tensors()
};

// The layout of `plan.tensors` under `plan.profile`. Unsupported when a tensor is to be copied
// whose type the profile has no number for; the sentence names it.
Result<FileLayout> layoutOf(const Model& model, const Plan& plan);

// The metadata of the file: the model's own, without `split.*` and what an earlier Bitloom left,
// with file type, quantization version and provenance. `calibrationHash`: 64 hex digits, or empty.
Metadata outputMetadata(const Model& model, const Plan& plan, std::string_view calibrationHash);

// Header bytes up to (not including) the padding; exactly `layout.headerBytes`.
std::string headerBytes(const Metadata& metadata, std::span<const PlacedTensor> tensors);

uint64_t roundUp(uint64_t bytes, uint64_t alignment);
uint64_t alignmentOf(const Model& model);

// What one tensor adds to the file when it is stored as `codec`: padded data and extra keys.
uint64_t tensorShare(const Tensor& tensor, const Codec& codec, const RuntimeProfile& profile,
                     uint64_t alignment);
// The same for a tensor that is copied unchanged.
uint64_t copyShare(const Tensor& tensor, const RuntimeProfile& profile, uint64_t alignment);

}  // namespace bitloom

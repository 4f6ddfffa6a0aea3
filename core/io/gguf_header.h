// SPDX-License-Identifier: GPL-3.0-or-later
// The header of one GGUF file (v2, v3, little-endian): key–value pairs and the list of tensors, as
// they stand in the file. Layout: GGUF specification, https://github.com/ggml-org/ggml docs/gguf.md
//
//   "GGUF" · u32 version · u64 tensors · u64 pairs
//   pair:   string key · u32 type · value        string: u64 length · bytes
//   tensor: string name · u32 dimensions · u64 × dimensions · u32 type · u64 offset
//   padding to the alignment, then tensor data; offsets count from there
//
// Nothing in the bytes is trusted: a count is compared with the bytes that are left before memory
// is taken for it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/metadata.h"
#include "kernels/base/result.h"

namespace bitloom {

struct GgufTensorInfo {
  std::string name;
  std::array<uint64_t, 4> shape = {1, 1, 1, 1};
  uint32_t dimensions = 0;
  uint32_t type = 0;    // ggml_type
  uint64_t offset = 0;  // from the start of the data
};

struct GgufHeader {
  uint32_t version = 0;
  Metadata metadata;
  std::vector<GgufTensorInfo> tensors;  // names are unique; shapes have a product below 2^63
  uint64_t alignment = 32;
  uint64_t dataBegin = 0;  // in the file; past its end when there are no tensors
  std::vector<std::string> warnings;
};

// `file` is the name that begins every message.
Result<GgufHeader> parseGgufHeader(std::span<const std::byte> bytes, const std::string& file);

}  // namespace bitloom

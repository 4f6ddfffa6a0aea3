// SPDX-License-Identifier: GPL-3.0-or-later
// What layout a tensor of a GGUF file has. Most type numbers mean the same everywhere; a few (41 …
// 48, 200 …) mean different things to different forks. Those are told apart by the room that the
// tensors take: of all layouts that the number may mean, the one must be found that fits every
// tensor with that number; where two fit, `bitloom.profile` and `general.file_type` decide.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/gguf_header.h"
#include "kernels/base/result.h"

namespace bitloom {

struct GgufLayout {
  std::string_view name;  // of the type, lower-case
  uint64_t blockWeights = 1;
  uint64_t blockBytes = 1;
};

// One layout for each tensor of the header. `spans`: the bytes from a tensor's begin to the next
// one's, or to the end of the file. Rows are whole blocks and sizes fit 64 bits afterwards.
Result<std::vector<GgufLayout>> tellLayouts(const GgufHeader& header,
                                            std::span<const uint64_t> spans,
                                            const Metadata& metadata, const std::string& file,
                                            std::vector<std::string>& warnings);

}  // namespace bitloom

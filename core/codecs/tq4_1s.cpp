// SPDX-License-Identifier: GPL-3.0-or-later
// TQ4_1S, 20 bytes for 32 weights in the rotated basis: fp16 d0 | fp16 d1 | 16 bytes of 4-bit
// codes. Rotated value j = (j < 16 ? d0 : d1) · centroid[code]. The layout and table are those of
// the llama.cpp fork that runs it; the table is optimal for a normal distribution.
#include "core/codecs/tq/packing.h"
#include "core/codecs/tq/two_scales.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

struct Table {
  static constexpr size_t kLevels = 16;
  static constexpr auto& kCentroids = levels::kTq4;
  using Bytes = tq::PackedCodes<4>;
};

using Format = tq::TwoScales<Table>;

}  // namespace

extern const Codec codec_tq4_1s;
const Codec codec_tq4_1s = {
    .name = "tq4_1s",
    .title = "TQ4_1S",
    .summary = "4-bit codes of rotated weights with two scales per 32 weights.",
    .fallback = "f16",
    .bits = 5.0,
    .rowBytes = Format::Rows::rowBytes,
    .encode = Format::Rows::encode,
    .decode = Format::Rows::decode,
    .grid = &Format::kGrid,
};

}  // namespace bitloom

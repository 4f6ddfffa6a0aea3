// SPDX-License-Identifier: GPL-3.0-or-later
// TQ3_1S, 16 bytes for 32 weights in the rotated basis: fp16 d0 | fp16 d1 | 12 bytes of 3-bit
// codes. Rotated value j = (j < 16 ? d0 : d1) · centroid[code]. The layout and table are those of
// the llama.cpp forks that run it; the table is near the optimum for a normal distribution.
#include "core/codecs/tq/packing.h"
#include "core/codecs/tq/two_scales.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

struct Table {
  static constexpr size_t kLevels = 8;
  static constexpr auto& kCentroids = levels::kTq3;
  using Bytes = tq::PackedCodes<3>;
};

using Format = tq::TwoScales<Table>;

}  // namespace

extern const Codec codec_tq3_1s;
const Codec codec_tq3_1s = {
    .name = "tq3_1s",
    .title = "TQ3_1S",
    .summary = "3-bit codes of rotated weights with two scales per 32 weights.",
    .fallback = "f16",
    .bits = 4.0,
    .rowBytes = Format::Rows::rowBytes,
    .encode = Format::Rows::encode,
    .decode = Format::Rows::decode,
    .grid = &Format::kGrid,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// Q4_K, 144 bytes for 256 weights: fp16 d | fp16 dmin | eight six-bit scales and minima | 128 bytes
// of nibbles. weight = d · scale · code − dmin · minimum, a scale and a minimum for each 32
// weights.
#include "core/codecs/k_quants/six_bits.h"

namespace bitloom {
namespace {

struct Codes : super_block::Planes<4, 32, 256> {
  static constexpr int kTopCode = 15;
};
using Format = k_quants::SixBitFormat<Codes>;
static_assert(sizeof(Format::Block) == 144);
using Q4_K = super_block::Offset<Format>;

}  // namespace

extern const Codec codec_q4_k;
const Codec codec_q4_k = {
    .name = "q4_k",
    .title = "Q4_K",
    .summary = "4-bit codes; blocks of 256 weights with a 6-bit scale and minimum per 32.",
    .fallback = "q5_0",
    .bits = 4.5,
    .rowBytes = Q4_K::Rows::rowBytes,
    .encode = Q4_K::Rows::encode,
    .decode = Q4_K::Rows::decode,
    .grid = &Q4_K::kGrid,
};

}  // namespace bitloom

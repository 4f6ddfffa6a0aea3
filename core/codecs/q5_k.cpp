// SPDX-License-Identifier: GPL-3.0-or-later
// Q5_K, 176 bytes for 256 weights: fp16 d | fp16 dmin | eight six-bit scales and minima | 32 bytes
// of fifth bits | 128 bytes of nibbles. weight = d · scale · code − dmin · minimum, a scale and a
// minimum for each 32 weights.
#include "core/codecs/k_quants/six_bits.h"

namespace bitloom {
namespace {

struct Codes {
  static constexpr int kTopCode = 31;
  super_block::Planes<1, 32, 256> high;
  super_block::Planes<4, 32, 256> low;

  void put(const uint8_t* codes) {
    low.put(codes);
    high.put(codes, 4);
  }
  void take(uint8_t* codes) const {
    low.take(codes);
    high.take(codes, 4);
  }
};
using Format = k_quants::SixBitFormat<Codes>;
static_assert(sizeof(Format::Block) == 176);
using Q5_K = super_block::Offset<Format>;

}  // namespace

extern const Codec codec_q5_k;
const Codec codec_q5_k = {
    .name = "q5_k",
    .title = "Q5_K",
    .summary = "5-bit codes; blocks of 256 weights with a 6-bit scale and minimum per 32.",
    .fallback = "q5_1",
    .bits = 5.5,
    .rowBytes = Q5_K::Rows::rowBytes,
    .encode = Q5_K::Rows::encode,
    .decode = Q5_K::Rows::decode,
    .grid = &Q5_K::kGrid,
};

}  // namespace bitloom

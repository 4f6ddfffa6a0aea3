// SPDX-License-Identifier: GPL-3.0-or-later
// TQ3_4S, 16 bytes for 32 weights in the rotated basis: a scale of one byte for each 8 of them | 12
// bytes of 3-bit codes. Rotated value = scale · centroid[code], centroids as in TQ3_1S. The scale
// is a float of three exponent and five mantissa bits, 0.00201 … 0.4921875; byte 0 is zero. The
// default of the fork llama.cpp-tq3. Weights far from that range saturate or vanish.
//
// The encoder tries every scale: the best there is for equal importances. It knows no others.
#include <algorithm>

#include "core/block_codec.h"
#include "core/codecs/lanes.h"
#include "core/codecs/tq/packing.h"
#include "core/codecs/tq/rotation.h"
#include "kernels/base/levels.h"

namespace bitloom {
namespace {

constexpr size_t kWeights = 32;
constexpr size_t kGroup = 8;
constexpr size_t kGroups = kWeights / kGroup;
constexpr Ladder<8> kLadder{levels::kTq3};

struct Block {
  uint8_t scales[kGroups];
  tq::PackedCodes<3> codes;
};
static_assert(sizeof(Block) == 16);

float scaleOf(uint8_t byte) {
  if (byte == 0) return 0;
  const uint32_t exponent = 127 - 9 + (byte >> 5);
  return std::bit_cast<float>(exponent << 23 | uint32_t(byte & 31) << 18);
}

float errorOf(const float* values, float scale) {
  const float inverse = 1 / scale;
  float sum = 0;
  for (size_t i = 0; i < kGroup; ++i) {
    const float error = values[i] - levels::kTq3[kLadder.indexOf(values[i] * inverse)] * scale;
    sum += error * error;
  }
  return sum;
}

uint8_t chooseScale(const float* values) {
  float least = 0;
  for (size_t i = 0; i < kGroup; ++i) least += values[i] * values[i];
  const float rms = std::sqrt(least / float(kGroup));
  uint8_t best = 0;
  for (int byte = 1; byte < 256; ++byte) {
    const float scale = scaleOf(uint8_t(byte));
    // No better scale is found so far from the values' own, unless the range ends before.
    if (scale < 0.25f * rms && byte < 255) continue;
    if (scale > 4 * rms && byte > 1) break;
    const float error = errorOf(values, scale);
    if (!(error < least)) continue;
    least = error;
    best = uint8_t(byte);
  }
  return best;
}

void encodeBlock(const float* values, const float*, Block& block) {
  alignas(16) float rotated[kWeights];
  std::copy_n(values, kWeights, rotated);
  tq::rotate(rotated);
  uint8_t codes[kWeights];
  for (size_t group = 0; group < kGroups; ++group) {
    const float* from = rotated + group * kGroup;
    block.scales[group] = chooseScale(from);
    const float inverse = inverseOf(scaleOf(block.scales[group]));
    for (size_t i = 0; i < kGroup; ++i) {
      codes[group * kGroup + i] = uint8_t(kLadder.indexOf(from[i] * inverse));
    }
  }
  block.codes.put(codes);
}

void decodeBlock(const Block& block, float* values) {
  const tq::Codes32 codes = block.codes.get();
  alignas(16) float rotated[kWeights];
  for (size_t j = 0; j < kWeights; ++j) {
    rotated[j] = levels::kTq3[codes[j]] * scaleOf(block.scales[j / kGroup]);
  }
  tq::unrotate(rotated);
  std::copy_n(rotated, kWeights, values);
}

using Rows = BlockCodec<kWeights, Block, encodeBlock, decodeBlock>;

}  // namespace

extern const Codec codec_tq3_4s;
const Codec codec_tq3_4s = {
    .name = "tq3_4s",
    .title = "TQ3_4S",
    .summary = "3-bit codes of rotated weights with a one-byte scale per 8; for small weights.",
    .fallback = "f16",
    .bits = 4.0,
    .rowBytes = Rows::rowBytes,
    .encode = Rows::encode,
    .decode = Rows::decode,
};

}  // namespace bitloom

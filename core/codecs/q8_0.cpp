// SPDX-License-Identifier: GPL-3.0-or-later
// Q8_0, 34 bytes for 32 weights: fp16 d | 32 signed bytes. weight = d · byte, d = largest / 127.
// Bytes are those of the format's reference encoder: the quotient uses d before it is rounded to
// fp16, ties go away from zero.
#include <cmath>

#include "core/block_codec.h"
#include "core/codecs/lanes.h"
#include "core/half.h"

namespace bitloom {
namespace {

constexpr size_t kWeights = 32;
constexpr float kTop = 127;

struct Block {
  uint16_t scale;
  int8_t codes[kWeights];
};
static_assert(sizeof(Block) == 34);

float largest(const float* values) {
  float magnitude = 0;
  for (size_t j = 0; j < kWeights; ++j) {
    const float candidate = std::fabs(values[j]);
    magnitude = candidate > magnitude ? candidate : magnitude;
  }
  return magnitude;
}

int nearest(float value) {
  const float limited = clampFinite(value, kTop);
  const int whole = int(limited);
  const float rest = limited - float(whole);  // exact
  return whole + int(rest >= 0.5f) - int(rest <= -0.5f);
}

void encodeBlock(const float* values, const float*, Block& block) {
  const float step = largest(values) / kTop;
  const float stored = roundToHalf(step);
  const float inverse = inverseOf(step > kHalfMax ? stored : step);
  block.scale = floatToHalfClamped(step);
  for (size_t j = 0; j < kWeights; ++j) block.codes[j] = int8_t(nearest(values[j] * inverse));
}

void decodeBlock(const Block& block, float* values) {
  const float scale = halfToFloat(block.scale);
  for (size_t j = 0; j < kWeights; ++j) values[j] = float(block.codes[j]) * scale;
}

void fit(std::span<const float> values, std::span<const float>, std::span<float> parameters) {
  parameters[0] = roundToHalf(largest(values.data()) / kTop);
}

// A code is the signed byte plus 128.
void round(const float* values, size_t, std::span<const float> parameters, uint8_t* codes,
           float* rounded) {
  const int level = nearest(*values * inverseOf(parameters[0]));
  *codes = uint8_t(level + 128);
  *rounded = float(level) * parameters[0];
}

void pack(std::span<const float> parameters, std::span<const uint8_t> codes,
          std::span<std::byte> bytes) {
  Block block;
  block.scale = floatToHalfClamped(parameters[0]);
  for (size_t j = 0; j < kWeights; ++j) block.codes[j] = int8_t(int(codes[j]) - 128);
  std::memcpy(bytes.data(), &block, sizeof(block));
}

constexpr Grid kGrid = {.block = kWeights,
                        .vector = 1,
                        .parameters = 1,
                        .toBasis = nullptr,
                        .fromBasis = nullptr,
                        .fit = fit,
                        .round = round,
                        .pack = pack,
                        .scaleRun = kWeights};

using Rows = BlockCodec<kWeights, Block, encodeBlock, decodeBlock>;

}  // namespace

extern const Codec codec_q8_0;
const Codec codec_q8_0 = {
    .name = "q8_0",
    .title = "Q8_0",
    .summary = "8-bit codes with one scale per 32 weights; nearly lossless.",
    .fallback = "f16",
    .bits = 8.5,
    .rowBytes = Rows::rowBytes,
    .encode = Rows::encode,
    .decode = Rows::decode,
    .grid = &kGrid,
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// GGUF blocks of 32 weights with one fp16 scale: weight = d · (code − levels/2). Q4_0, Q5_0.
//
// Without importances the codes are those of the format's reference encoder, byte for byte: the
// weight of largest magnitude (the first, if several) lands on code 0, whatever its sign, because
// the negative side has one step more. With importances the scale is searched: uniform trial steps
// of both signs give codes, least squares gives the scale for those codes, and the fp16 scale of
// least importance-weighted error wins, the reference's choice being one of the candidates.
#pragma once
#include "core/block_codec.h"
#include "core/codecs/affine/codes.h"
#include "core/codecs/lanes.h"
#include "core/half.h"

namespace bitloom::affine {

template <typename CodeBytes>
struct Symmetric {
  static constexpr int kTop = CodeBytes::kLevels - 1;
  static constexpr int kZero = CodeBytes::kLevels / 2;

  struct Block {
    uint16_t scale;
    CodeBytes codes;
  };
  static_assert(sizeof(Block) == 2 + sizeof(CodeBytes));

  static void chooseCodes(const float* values, float inverse, uint8_t* codes) {
    for (size_t j = 0; j < kWeights; ++j) {
      codes[j] = uint8_t(clampedCode(values[j] * inverse + (float(kZero) + 0.5f), kTop));
    }
  }

  static float largest(const float* values) {
    float magnitude = 0;
    float value = 0;
    for (size_t j = 0; j < kWeights; ++j) {
      const float candidate = std::fabs(values[j]);
      value = candidate > magnitude ? values[j] : value;
      magnitude = candidate > magnitude ? candidate : magnitude;
    }
    return value;
  }

  static float weightedError(const float* values, const float* weights, float scale,
                             const uint8_t* codes) {
    float lanes[16] = {};
    for (size_t j = 0; j < kWeights; ++j) {
      const float error = values[j] - scale * float(int(codes[j]) - kZero);
      lanes[j % 16] += weights[j] * error * error;
    }
    return sumLanes(lanes);
  }

  // Least-squares scale of fixed codes; 0 when the codes carry no weight.
  static float fittedScale(const float* values, const float* weights, const uint8_t* codes) {
    float products[16] = {};
    float squares[16] = {};
    for (size_t j = 0; j < kWeights; ++j) {
      const float level = float(int(codes[j]) - kZero);
      products[j % 16] += weights[j] * values[j] * level;
      squares[j % 16] += weights[j] * level * level;
    }
    const float square = sumLanes(squares);
    return square > 0 ? sumLanes(products) / square : 0;
  }

  // Improves `scale` and `codes`, given as the plain encoder's choice.
  static void search(const float* values, const float* weights, float peak, float& scale,
                     uint8_t* codes) {
    float best = weightedError(values, weights, scale, codes);
    for (const float sign : {-1.0f, 1.0f}) {
      for (int step = -kSteps; step <= kSteps; ++step) {
        const float inverse = inverseOf(sign * peak / (float(kZero) + kStepSize * float(step)));
        tryScale(values, weights, inverse, best, scale, codes);
      }
    }
    for (int round = 0; round < 2; ++round) {
      tryScale(values, weights, inverseOf(scale), best, scale, codes);
    }
  }

  static void encodeBlock(const float* values, const float* weights, Block& block) {
    const float peak = largest(values);
    const float step = peak / float(-kZero);
    float scale = roundToHalf(step);
    uint8_t codes[kWeights];
    chooseCodes(values, inverseOf(std::fabs(step) > kHalfMax ? scale : step), codes);
    if (weights != nullptr) search(values, weights, peak, scale, codes);
    block.scale = floatToHalfClamped(scale);
    block.codes.put(codes);
  }

  static void decodeBlock(const Block& block, float* values) {
    const float scale = halfToFloat(block.scale);
    const Codes codes = block.codes.get();
    for (size_t j = 0; j < kWeights; ++j) values[j] = float(int(codes[j]) - kZero) * scale;
  }

  using Rows = BlockCodec<kWeights, Block, encodeBlock, decodeBlock>;

  static void fit(std::span<const float> values, std::span<const float> weights,
                  std::span<float> parameters) {
    const float peak = largest(values.data());
    float scale = roundToHalf(peak / float(-kZero));
    uint8_t codes[kWeights];
    chooseCodes(values.data(), inverseOf(scale), codes);
    float equal[kWeights];
    for (float& weight : equal) weight = 1;
    search(values.data(), weights.empty() ? equal : weights.data(), peak, scale, codes);
    parameters[0] = scale;
  }

  static void round(const float* values, size_t, std::span<const float> parameters,
                    uint8_t* codes, float* rounded) {
    const float scale = parameters[0];
    const int code = clampedCode(*values * inverseOf(scale) + (float(kZero) + 0.5f), kTop);
    *codes = uint8_t(code);
    *rounded = float(code - kZero) * scale;
  }

  static void pack(std::span<const float> parameters, std::span<const uint8_t> codes,
                   std::span<std::byte> bytes) {
    Block block;
    block.scale = floatToHalfClamped(parameters[0]);
    block.codes.put(codes.data());
    std::memcpy(bytes.data(), &block, sizeof(block));
  }

  static constexpr Grid kGrid = {.block = kWeights,
                                 .vector = 1,
                                 .parameters = 1,
                                 .toBasis = nullptr,
                                 .fromBasis = nullptr,
                                 .fit = fit,
                                 .round = round,
                                 .pack = pack};

 private:
  static constexpr int kSteps = 9;
  static constexpr float kStepSize = 0.1f * float(kZero) / 8.0f;

  static void tryScale(const float* values, const float* weights, float inverse, float& best,
                       float& scale, uint8_t* codes) {
    uint8_t trial[kWeights];
    chooseCodes(values, inverse, trial);
    const float fitted = roundToHalf(fittedScale(values, weights, trial));
    chooseCodes(values, inverseOf(fitted), trial);
    const float error = weightedError(values, weights, fitted, trial);
    if (error < best) {
      best = error;
      scale = fitted;
      std::memcpy(codes, trial, sizeof(trial));
    }
  }
};

}  // namespace bitloom::affine

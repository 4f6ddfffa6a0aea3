// SPDX-License-Identifier: GPL-3.0-or-later
// GGUF blocks of 32 weights with one fp16 scale: weight = d · (code − levels/2). Q4_0, Q5_0.
//
// Without importances the codes are those of the format's reference encoder, byte for byte: the
// weight of largest magnitude (the first, if several) lands on code 0, whatever its sign, because
// the negative side has one step more. With importances the scale is searched: uniform trial steps
// of both signs give codes, and least squares the scale for those codes and the energy it explains.
// The best trial is rounded to fp16 and refined; it replaces the reference's choice only where the
// importance-weighted error is lower.
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
    for (size_t j = 0; j < kWeights; j += kLanes) {
      const Lanes shifted = Lanes::load(values + j) * inverse + Lanes::all(float(kZero) + 0.5f);
      const IntLanes limited = clampedCodes(shifted, kTop);
      int32_t wide[kLanes];
      std::memcpy(wide, &limited, sizeof(wide));
      for (size_t i = 0; i < kLanes; ++i) codes[j + i] = uint8_t(wide[i]);
    }
  }

  // The weight of largest magnitude, the first of several.
  static float largest(const float* values) {
    const Lanes low = Lanes::load(values), high = Lanes::load(values + kLanes);
    const float top = largestLane(larger(low, high));
    const float bottom = -largestLane(larger(-low, -high));
    if (top != -bottom) return top > -bottom ? top : bottom;
    for (size_t j = 0; j < kWeights; ++j) {
      if (std::fabs(values[j]) == top) return values[j];
    }
    return 0;
  }

  // The block as the search sees it: codes are signed levels, kept as floats.
  struct Weighted {
    Numbers values;
    Numbers weights;
    Numbers products;  // weights · values

    Weighted(const float* row, const float* importances)
        : values(Numbers::load(row)),
          weights(Numbers::load(importances)),
          products(values * weights) {}

    Numbers levels(float inverse) const {
      return clampedLevels(values * inverse + (float(kZero) + 0.5f), kTop) + float(-kZero);
    }
    float error(const Numbers& levels, float scale) const {
      const Numbers errors = values - levels * scale;
      return (errors * errors * weights).sum();
    }
  };

  struct Fit {
    float gain = 0;  // weighted energy that `scale` explains
    float scale = 0;
  };

  static Fit fitScale(const Weighted& block, const Numbers& levels) {
    const float product = (block.products * levels).sum();
    const float square = (block.weights * levels * levels).sum();
    if (!(square > 0)) return {};
    return {product / square * product, product / square};
  }

  // `scale` and `codes` are given as the plain encoder's choice.
  static void search(const float* values, const float* weights, float peak, float& scale,
                     uint8_t* codes) {
    const Weighted block(values, weights);
    Fit best;
    for (const float sign : {-1.0f, 1.0f}) {
      for (int step = -kSteps; step <= kSteps; ++step) {
        const float inverse = inverseOf(sign * peak / (float(kZero) + kStepSize * float(step)));
        const Fit fit = fitScale(block, block.levels(inverse));
        if (fit.gain > best.gain) best = fit;
      }
    }
    float plain[kWeights];
    for (size_t j = 0; j < kWeights; ++j) plain[j] = float(int(codes[j]) - kZero);
    float least = block.error(Numbers::load(plain), scale);
    for (int round = 0; round < kRefinements; ++round) {
      const float rounded = roundToHalf(best.scale);
      const Numbers levels = block.levels(inverseOf(rounded));
      const float error = block.error(levels, rounded);
      if (error < least) {
        least = error;
        scale = rounded;
        chooseCodes(values, inverseOf(rounded), codes);
      }
      best = fitScale(block, levels);
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

  static void round(const float* values, size_t, std::span<const float> parameters, uint8_t* codes,
                    float* rounded) {
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
                                 .pack = pack,
                                 .scaleRun = kWeights};

 private:
  static constexpr int kSteps = 9;
  static constexpr float kStepSize = 0.1f * float(kZero) / 8.0f;
  static constexpr int kRefinements = 3;
};

}  // namespace bitloom::affine

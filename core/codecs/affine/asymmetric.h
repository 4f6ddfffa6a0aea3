// SPDX-License-Identifier: GPL-3.0-or-later
// GGUF blocks of 32 weights with an fp16 scale and an fp16 minimum: weight = d · code + m.
// Q4_1, Q5_1.
//
// Without importances the codes are those of the format's reference encoder, byte for byte: the
// smallest weight is m, the largest m + d · top. With importances several ranges are tried, each
// followed by a weighted least-squares fit of d and m; the fp16 pair of least weighted error wins,
// the reference's choice being one of the candidates.
#pragma once
#include "core/block_codec.h"
#include "core/codecs/affine/codes.h"
#include "core/codecs/lanes.h"
#include "core/half.h"

namespace bitloom::affine {

template <typename CodeBytes>
struct Asymmetric {
  static constexpr int kTop = CodeBytes::kLevels - 1;

  struct Block {
    uint16_t scale;
    uint16_t minimum;
    CodeBytes codes;
  };
  static_assert(sizeof(Block) == 4 + sizeof(CodeBytes));

  struct Choice {
    float scale;
    float minimum;
    uint8_t codes[kWeights];
  };

  struct Range {
    float low;
    float high;
  };

  static Range rangeOf(const float* values) {
    Range range = {values[0], values[0]};
    for (size_t j = 1; j < kWeights; ++j) {
      range.low = values[j] < range.low ? values[j] : range.low;
      range.high = values[j] > range.high ? values[j] : range.high;
    }
    return range;
  }

  static void chooseCodes(const float* values, float minimum, float inverse, uint8_t* codes) {
    for (size_t j = 0; j < kWeights; ++j) {
      codes[j] = uint8_t(clampedCode((values[j] - minimum) * inverse + 0.5f, kTop));
    }
  }

  static Choice plain(const float* values, const Range& range) {
    const float step = (range.high - range.low) / float(kTop);
    Choice choice;
    choice.scale = roundToHalf(step);
    choice.minimum = roundToHalf(range.low);
    // The reference divides by the exact step; only what fp16 cannot hold needs the stored pair.
    const bool fits = std::fabs(range.low) <= kHalfMax && std::fabs(step) <= kHalfMax;
    if (fits) {
      chooseCodes(values, range.low, inverseOf(step), choice.codes);
    } else {
      chooseCodes(values, choice.minimum, inverseOf(choice.scale), choice.codes);
    }
    return choice;
  }

  static float weightedError(const float* values, const float* weights, const Choice& choice) {
    float lanes[kLanes] = {};
    for (size_t j = 0; j < kWeights; ++j) {
      const float error = values[j] - (choice.scale * float(choice.codes[j]) + choice.minimum);
      lanes[j % kLanes] += weights[j] * error * error;
    }
    return sumLanes(lanes);
  }

  // Weighted least squares for fixed codes, on values − `origin` for the sake of precision.
  // False when the codes determine no line.
  static bool fitLine(const float* values, const float* weights, float origin, Choice& choice) {
    float w[kLanes] = {}, wq[kLanes] = {}, wqq[kLanes] = {}, wx[kLanes] = {}, wqx[kLanes] = {};
    for (size_t j = 0; j < kWeights; ++j) {
      const size_t lane = j % kLanes;
      const float q = float(choice.codes[j]);
      const float x = values[j] - origin;
      w[lane] += weights[j];
      wq[lane] += weights[j] * q;
      wqq[lane] += weights[j] * q * q;
      wx[lane] += weights[j] * x;
      wqx[lane] += weights[j] * q * x;
    }
    const float total = sumLanes(w), first = sumLanes(wq), second = sumLanes(wqq);
    const float value = sumLanes(wx), product = sumLanes(wqx);
    const float determinant = total * second - first * first;
    if (!(determinant > 1e-6f * total * second)) return false;
    choice.scale = roundToHalf((total * product - first * value) / determinant);
    choice.minimum = roundToHalf(origin + (second * value - first * product) / determinant);
    return true;
  }

  // Fits a line to the codes of `trial`, then the codes to the line; keeps it when it is better.
  static void tryCodes(const float* values, const float* weights, float origin, Choice trial,
                       float& best, Choice& choice) {
    if (!fitLine(values, weights, origin, trial)) return;
    chooseCodes(values, trial.minimum, inverseOf(trial.scale), trial.codes);
    const float error = weightedError(values, weights, trial);
    if (error < best) {
      best = error;
      choice = trial;
    }
  }

  static void search(const float* values, const float* weights, const Range& range,
                     Choice& choice) {
    float best = weightedError(values, weights, choice);
    for (int step = -kSteps; step <= kSteps; ++step) {
      const float intervals = float(kTop) + kStepSize * float(step);
      Choice trial = choice;
      chooseCodes(values, range.low, inverseOf((range.high - range.low) / intervals), trial.codes);
      tryCodes(values, weights, range.low, trial, best, choice);
    }
    for (int round = 0; round < 3; ++round) {
      tryCodes(values, weights, range.low, choice, best, choice);
    }
  }

  static void encodeBlock(const float* values, const float* weights, Block& block) {
    const Range range = rangeOf(values);
    Choice choice = plain(values, range);
    if (weights != nullptr) search(values, weights, range, choice);
    block.scale = floatToHalfClamped(choice.scale);
    block.minimum = floatToHalfClamped(choice.minimum);
    block.codes.put(choice.codes);
  }

  static void decodeBlock(const Block& block, float* values) {
    const float scale = halfToFloat(block.scale);
    const float minimum = halfToFloat(block.minimum);
    const Codes codes = block.codes.get();
    for (size_t j = 0; j < kWeights; ++j) values[j] = float(codes[j]) * scale + minimum;
  }

  using Rows = BlockCodec<kWeights, Block, encodeBlock, decodeBlock>;

  static void fit(std::span<const float> values, std::span<const float> weights,
                  std::span<float> parameters) {
    const Range range = rangeOf(values.data());
    Choice choice = plain(values.data(), range);
    float equal[kWeights];
    for (float& weight : equal) weight = 1;
    search(values.data(), weights.empty() ? equal : weights.data(), range, choice);
    parameters[0] = choice.scale;
    parameters[1] = choice.minimum;
  }

  static void round(const float* values, size_t, std::span<const float> parameters,
                    uint8_t* codes, float* rounded) {
    const float scale = parameters[0];
    const float minimum = parameters[1];
    const int code = clampedCode((*values - minimum) * inverseOf(scale) + 0.5f, kTop);
    *codes = uint8_t(code);
    *rounded = float(code) * scale + minimum;
  }

  static void pack(std::span<const float> parameters, std::span<const uint8_t> codes,
                   std::span<std::byte> bytes) {
    Block block;
    block.scale = floatToHalfClamped(parameters[0]);
    block.minimum = floatToHalfClamped(parameters[1]);
    block.codes.put(codes.data());
    std::memcpy(bytes.data(), &block, sizeof(block));
  }

  static constexpr Grid kGrid = {.block = kWeights,
                                 .vector = 1,
                                 .parameters = 2,
                                 .toBasis = nullptr,
                                 .fromBasis = nullptr,
                                 .fit = fit,
                                 .round = round,
                                 .pack = pack};

 private:
  static constexpr int kSteps = 9;
  static constexpr float kStepSize = 0.1f * float(kTop) / 15.0f;
};

}  // namespace bitloom::affine

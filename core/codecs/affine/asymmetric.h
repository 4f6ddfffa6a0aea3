// SPDX-License-Identifier: GPL-3.0-or-later
// GGUF blocks of 32 weights with an fp16 scale and an fp16 minimum: weight = d · code + m.
// Q4_1, Q5_1.
//
// Without importances the codes are those of the format's reference encoder, byte for byte: the
// smallest weight is m, the largest m + d · top. With importances several steps are tried, each
// followed by a weighted least-squares fit of d and m. The best is rounded to fp16 and refined; it
// replaces the reference's choice only where the importance-weighted error is lower.
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

  // The block as the search sees it, relative to its smallest weight for the sake of precision.
  struct Weighted {
    Numbers values;
    Numbers weights;
    Numbers products;  // weights · values
    float total;       // Σ weights
    float first;       // Σ products

    Weighted(const float* row, const float* importances, float origin)
        : values(Numbers::load(row) + -origin),
          weights(Numbers::load(importances)),
          products(values * weights),
          total(weights.sum()),
          first(products.sum()) {}

    Numbers levels(float minimum, float inverse) const {
      return clampedLevels((values + -minimum) * inverse + 0.5f, kTop);
    }
    float error(const Numbers& levels, float scale, float minimum) const {
      const Numbers errors = values - (levels * scale + minimum);
      return (errors * errors * weights).sum();
    }
  };

  struct Line {
    float gain = -1;  // weighted energy that the line explains
    float scale = 0;
    float minimum = 0;
  };

  // Weighted least squares for fixed codes; no gain when they determine no line.
  static Line fitLine(const Weighted& block, const Numbers& levels) {
    const Numbers weighted = block.weights * levels;
    const float sum = weighted.sum();
    const float square = (weighted * levels).sum();
    const float product = (block.products * levels).sum();
    const float determinant = block.total * square - sum * sum;
    if (!(determinant > 1e-6f * block.total * square)) return {};
    Line line;
    line.scale = (block.total * product - sum * block.first) / determinant;
    line.minimum = (square * block.first - sum * product) / determinant;
    line.gain = line.scale * product + line.minimum * block.first;
    return line;
  }

  // `choice` is given as the plain encoder's.
  static void search(const float* values, const float* weights, const Range& range,
                     Choice& choice) {
    const float origin = range.low;
    const Weighted block(values, weights, origin);
    Line best;
    for (int step = -kSteps; step <= kSteps; ++step) {
      const float intervals = float(kTop) + kStepSize * float(step);
      const float inverse = inverseOf((range.high - range.low) / intervals);
      const Line line = fitLine(block, block.levels(0, inverse));
      if (line.gain > best.gain) best = line;
    }
    float plain[kWeights];
    for (size_t j = 0; j < kWeights; ++j) plain[j] = float(choice.codes[j]);
    float least = block.error(Numbers::load(plain), choice.scale, choice.minimum - origin);
    for (int round = 0; round < kRefinements && best.gain >= 0; ++round) {
      const float scale = roundToHalf(best.scale);
      const float minimum = roundToHalf(best.minimum + origin);
      const Numbers levels = block.levels(minimum - origin, inverseOf(scale));
      const float error = block.error(levels, scale, minimum - origin);
      if (error < least) {
        least = error;
        choice.scale = scale;
        choice.minimum = minimum;
        chooseCodes(values, minimum, inverseOf(scale), choice.codes);
      }
      best = fitLine(block, levels);
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

  static void round(const float* values, size_t, std::span<const float> parameters, uint8_t* codes,
                    float* rounded) {
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
  static constexpr int kRefinements = 4;
};

}  // namespace bitloom::affine

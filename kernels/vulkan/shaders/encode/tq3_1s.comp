#version 450
#extension GL_GOOGLE_include_directive : require
// TQ3_1S: fp16 d0 | fp16 d1 | 12 bytes of 3-bit codes, in the rotated basis; a scale for each half.
// The search is that of the host's encoder (core/codecs/tq/two_scales.h): trial scales across two
// octaves, the two best refined by least squares, the better one after rounding.
#include "encode/encode.glsl"
#include "rotation.glsl"

const float kTrials[17] = {0.5, 0.545253866, 0.594603558, 0.648419777, 0.707106781, 0.771105413,
                           0.840896415, 0.917004043, 1.0, 1.090507733, 1.189207115, 1.296839555,
                           1.414213562, 1.542210825, 1.681792831, 1.834008086, 2.0};
const uint kRefinements = 4u;

// Midpoints of neighbouring levels, as bits: a compiler would add the levels in other precision.
const uint kBounds[7] = {0xbfd26ff0u, 0xbf820803u, 0xbefce3acu, 0xbc0e8ea8u,
                         0x3ef49060u, 0x3f802ca6u, 0x3fd10d74u};

float x[16];  // the half at hand

uint codeOf(float value) {
  uint code = 0u;
  [[unroll]] for (uint k = 0u; k < 7u; ++k) {
    code += value >= uintBitsToFloat(kBounds[k]) ? 1u : 0u;
  }
  return code;
}

float levelOf(float value) {
  float level = -1.996684;
  level = value >= uintBitsToFloat(kBounds[0]) ? -1.291398 : level;
  level = value >= uintBitsToFloat(kBounds[1]) ? -0.740341 : level;
  level = value >= uintBitsToFloat(kBounds[2]) ? -0.247508 : level;
  level = value >= uintBitsToFloat(kBounds[3]) ? 0.230106 : level;
  level = value >= uintBitsToFloat(kBounds[4]) ? 0.725222 : level;
  level = value >= uintBitsToFloat(kBounds[5]) ? 1.277503 : level;
  return value >= uintBitsToFloat(kBounds[6]) ? 1.988943 : level;
}

// Energy that the best scale explains for the codes that `inverse` gives, and that scale.
vec2 fitScale(float inverse) {
  precise float product = 0.0;
  precise float square = 0.0;
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    precise const float scaled = x[i] * inverse;
    const float level = levelOf(scaled);
    product = product + x[i] * level;
    square = square + level * level;
  }
  precise const float scale = product / square;
  precise const float gain = product * scale;
  return vec2(product > 0.0 ? gain : 0.0, scale);
}

vec2 refine(vec2 fit) {
  for (uint round = 0u; round < kRefinements; ++round) {
    const vec2 next = fitScale(inverseOf(fit.y));
    if (!(next.x > fit.x)) break;
    fit = next;
  }
  return fit;
}

float errorOf(float scale) {
  const float inverse = inverseOf(scale);
  precise float sum = 0.0;
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    precise const float scaled = x[i] * inverse;
    precise const float error = x[i] - levelOf(scaled) * scale;
    sum = sum + error * error;
  }
  return sum;
}

float chooseScale() {
  precise float squares = 0.0;
  [[unroll]] for (uint i = 0u; i < 16u; ++i) squares = squares + x[i] * x[i];
  precise const float mean = squares * 0.0625;
  const float inverse = inverseOf(sqrt(mean));
  if (!(inverse > 0.0)) return 0.0;
  vec2 first = vec2(0.0);
  vec2 second = vec2(0.0);
  for (uint trial = 0u; trial < 17u; ++trial) {
    precise const float tried = inverse * kTrials[trial];
    const vec2 fit = fitScale(tried);
    if (fit.x > first.x) {
      second = first;
      first = fit;
    } else if (fit.x > second.x) {
      second = fit;
    }
  }
  float best = roundToHalf(refine(first).y);
  float least = errorOf(best);
  const float again = roundToHalf(fitScale(inverseOf(best)).y);
  const float others[2] = {roundToHalf(refine(second).y), again};
  for (uint i = 0u; i < 2u; ++i) {
    const float error = errorOf(others[i]);
    if (least > error && others[i] > 0.0) {
      best = others[i];
      least = error;
    }
  }
  return best;
}

// Two times eight codes of the half at hand: 24 bits each.
uvec2 codesFor(float scale) {
  const float inverse = inverseOf(scale);
  uvec2 codes = uvec2(0u);
  [[unroll]] for (uint i = 0u; i < 8u; ++i) {
    precise const float low = x[i] * inverse;
    precise const float high = x[i + 8u] * inverse;
    codes |= uvec2(codeOf(low), codeOf(high)) << (3u * i);
  }
  return codes;
}

void main() {
  const uint part = gl_WorkGroupID.y;
  float v[32];
  readPart(part, v);
  rotate(v);
  uint scales = 0u;
  uvec4 runs = uvec4(0u);
  for (uint side = 0u; side < 2u; ++side) {
    [[unroll]] for (uint i = 0u; i < 16u; ++i) x[i] = side == 0u ? v[i] : v[i + 16u];
    const float scale = chooseScale();
    const uvec2 codes = codesFor(scale);
    scales |= halfBits(scale) << (16u * side);
    runs = side == 0u ? uvec4(codes, 0u, 0u) : uvec4(runs.xy, codes);
  }
  putWord(4u * part, scales);
  putWord(4u * part + 1u, runs.x | runs.y << 24);
  putWord(4u * part + 2u, runs.y >> 8 | runs.z << 16);
  putWord(4u * part + 3u, runs.z >> 16 | runs.w << 8);
}

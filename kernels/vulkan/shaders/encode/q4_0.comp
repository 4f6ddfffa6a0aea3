#version 450
#extension GL_GOOGLE_include_directive : require
// Q4_0: fp16 d | 16 bytes: codes 0 … 15 in the low halves, 16 … 31 in the high. The weight of
// largest magnitude, the first of several, lands on code 0. Two blocks fill 9 words.
#include "encode/encode.glsl"

void putByte(inout uint words[9], uint at, uint value) {
  words[at / 4u] |= value << (8u * (at % 4u));
}

uint codeOf(float value, float inverse) {
  precise const float shifted = value * inverse + 8.5;
  return uint(shifted > 0.0 ? (shifted < 15.0 ? shifted : 15.0) : 0.0);
}

void main() {
  const uint first = 2u * gl_WorkGroupID.y;
  uint words[9];
  [[unroll]] for (uint i = 0u; i < 9u; ++i) words[i] = 0u;
  [[unroll]] for (uint block = 0u; block < 2u; ++block) {
    if (first + block < parts) {
      float v[32];
      readPart(first + block, v);
      float peak = 0.0;
      [[unroll]] for (uint i = 0u; i < 32u; ++i) peak = abs(v[i]) > abs(peak) ? v[i] : peak;
      const float step = peak * -0.125;
      const float inverse = inverseOf(abs(step) > kHalfMax ? roundToHalf(step) : step);
      const uint d = clampedHalf(step);
      putByte(words, block * 18u, d & 255u);
      putByte(words, block * 18u + 1u, d >> 8);
      [[unroll]] for (uint i = 0u; i < 16u; ++i) {
        const uint pair = codeOf(v[i], inverse) | codeOf(v[i + 16u], inverse) << 4;
        putByte(words, block * 18u + 2u + i, pair);
      }
    }
  }
  const uint count = first + 1u < parts ? 9u : 5u;
  [[unroll]] for (uint i = 0u; i < 9u; ++i) {
    if (i < count) putWord(first / 2u * 9u + i, words[i]);
  }
}

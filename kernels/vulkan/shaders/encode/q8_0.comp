#version 450
#extension GL_GOOGLE_include_directive : require
// Q8_0: fp16 d | 32 signed bytes; d = largest / 127. Two blocks fill 17 words.
#include "encode/encode.glsl"

void putByte(inout uint words[17], uint at, uint value) {
  words[at / 4u] |= value << (8u * (at % 4u));
}

int nearest(float value) {
  const float limited = value > -127.0 ? (value < 127.0 ? value : 127.0) : -127.0;
  const int whole = int(limited);
  precise const float rest = limited - float(whole);
  return whole + int(rest >= 0.5) - int(rest <= -0.5);
}

void main() {
  const uint first = 2u * gl_WorkGroupID.y;
  uint words[17];
  [[unroll]] for (uint i = 0u; i < 17u; ++i) words[i] = 0u;
  [[unroll]] for (uint block = 0u; block < 2u; ++block) {
    if (first + block < parts) {
      float v[32];
      readPart(first + block, v);
      float largest = 0.0;
      [[unroll]] for (uint i = 0u; i < 32u; ++i) largest = max(largest, abs(v[i]));
      precise const float step = largest / 127.0;
      const float inverse = inverseOf(step > kHalfMax ? roundToHalf(step) : step);
      const uint d = clampedHalf(step);
      putByte(words, block * 34u, d & 255u);
      putByte(words, block * 34u + 1u, d >> 8);
      [[unroll]] for (uint i = 0u; i < 32u; ++i) {
        precise const float scaled = v[i] * inverse;
        putByte(words, block * 34u + 2u + i, uint(nearest(scaled)) & 255u);
      }
    }
  }
  const uint count = first + 1u < parts ? 17u : 9u;
  [[unroll]] for (uint i = 0u; i < 17u; ++i) {
    if (i < count) putWord(first / 2u * 17u + i, words[i]);
  }
}

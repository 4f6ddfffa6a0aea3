// 256 weights: fp16 d | fp16 dmin | six-bit scales and minima | 128 bytes of nibbles: 32 bytes for
// two groups, one in the low halves, one in the high
#include "layouts/six_bits.glsl"
void decodePart(uint part, out float w[32]) {
  const uint start = (part >> 3) * 144u;
  const uint group = part & 7u;
  const vec2 unit = unpackHalf2x16(wordAt(start >> 2));
  const uvec2 steps = sixBits(start >> 2, group);
  FETCH_ALIGNED(codes, 8u, start + 16u + (group >> 1) * 32u)
  const float scale = unit.x * float(steps.x);
  const float low = -unit.y * float(steps.y);
  const uint shift = 4u * (group & 1u);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    w[i] = float(byteOf(codes[i / 4u], i % 4u) >> shift & 15u) * scale + low;
  }
}

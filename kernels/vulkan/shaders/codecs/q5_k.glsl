// 256 weights: fp16 d | fp16 dmin | six-bit scales and minima | 32 bytes of fifth bits | 128 bytes
// of nibbles as in q4_k
#include "layouts/six_bits.glsl"
void decodePart(uint part, out float w[32]) {
  const uint start = (part >> 3) * 176u;
  const uint group = part & 7u;
  const vec2 unit = unpackHalf2x16(wordAt(start >> 2));
  const uvec2 steps = sixBits(start >> 2, group);
  FETCH_ALIGNED(fifth, 8u, start + 16u)
  FETCH_ALIGNED(codes, 8u, start + 48u + (group >> 1) * 32u)
  const float scale = unit.x * float(steps.x);
  const float low = -unit.y * float(steps.y);
  const uint shift = 4u * (group & 1u);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    const uint code = (byteOf(codes[i / 4u], i % 4u) >> shift & 15u) |
                      (byteOf(fifth[i / 4u], i % 4u) >> group & 1u) << 4;
    w[i] = float(code) * scale + low;
  }
}

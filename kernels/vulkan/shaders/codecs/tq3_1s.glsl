// fp16 d0 | fp16 d1 | 12 bytes of 3-bit codes: four times eight of them in 24 bits; in the rotated
// basis. Levels: kernels/base/levels.h.
#define ROTATED
float levelOf(uint code) {
  const float low = code < 2u ? (code == 0u ? -1.996684 : -1.291398)
                              : (code == 2u ? -0.740341 : -0.247508);
  const float high = code < 6u ? (code == 4u ? 0.230106 : 0.725222)
                               : (code == 6u ? 1.277503 : 1.988943);
  return code < 4u ? low : high;
}

#define LEVEL_COUNT 8u
#include "levels.glsl"

void decodePart(uint part, out float w[32]) {
  FETCH_ALIGNED(block, 4u, part * 16u)
  const vec2 scales = unpackHalf2x16(block[0]);
  const uint runs[4] = {block[1], (block[1] >> 24) | (block[2] << 8),
                        (block[2] >> 16) | (block[3] << 16), block[3] >> 8};
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    w[i] = (i < 16u ? scales.x : scales.y) * levelAt(runs[i / 8u] >> (3u * (i % 8u)) & 7u);
  }
}

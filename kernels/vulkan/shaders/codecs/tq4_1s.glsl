// fp16 d0 | fp16 d1 | 16 bytes of 4-bit codes, two to a byte; in the rotated basis. The levels
// (kernels/base/levels.h) are symmetric.
#define ROTATED
float levelOf(uint code) {
  const uint size = code < 8u ? 7u - code : code - 8u;
  const float low = size < 2u ? (size == 0u ? 0.128395 : 0.388048)
                              : (size == 2u ? 0.656759 : 0.942340);
  const float high = size < 6u ? (size == 4u ? 1.256231 : 1.618046)
                               : (size == 6u ? 2.069017 : 2.732590);
  const float level = size < 4u ? low : high;
  return code < 8u ? -level : level;
}

#define LEVEL_COUNT 16u
#include "levels.glsl"

void decodePart(uint part, out float w[32]) {
  FETCH_ALIGNED(block, 5u, part * 20u)
  const vec2 scales = unpackHalf2x16(block[0]);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    w[i] = (i < 16u ? scales.x : scales.y) * levelAt(block[1u + i / 8u] >> (4u * (i % 8u)) & 15u);
  }
}

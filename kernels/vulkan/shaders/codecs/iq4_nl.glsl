// fp16 d | 16 bytes as in q4_0
#include "layouts/uneven.glsl"
void decodePart(uint part, out float w[32]) {
  FETCH_SHORT(block, 5u, part * 18u)
  const float d = halfOf(block[0]);
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const uint pair = byteOf(block[(i + 2u) / 4u], (i + 2u) % 4u);
    w[i] = d * unevenLevel(pair & 15u);
    w[i + 16u] = d * unevenLevel(pair >> 4);
  }
}

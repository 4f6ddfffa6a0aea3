// 256 weights: fp16 d | high bit pairs of eight scales | their low nibbles | 128 bytes of nibbles,
// 16 for each 32 weights
#include "layouts/uneven.glsl"
void decodePart(uint part, out float w[32]) {
  const uint start = (part >> 3) * 136u;
  const uint group = part & 7u;
  FETCH_ALIGNED(head, 2u, start)
  FETCH_ALIGNED(codes, 4u, start + 8u + group * 16u)
  const uint step = (head[1] >> (4u * group) & 15u) | (head[0] >> (16u + 2u * group) & 3u) << 4;
  const float d = halfOf(head[0]) * (float(step) - 32.0);
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const uint pair = byteOf(codes[i / 4u], i % 4u);
    w[i] = d * unevenLevel(pair & 15u);
    w[i + 16u] = d * unevenLevel(pair >> 4);
  }
}

// fp16 d | 32 fifth bits | 16 bytes as in q4_0
void decodePart(uint part, out float w[32]) {
  FETCH_SHORT(block, 6u, part * 22u)
  const float d = halfOf(block[0]);
  const float low = -16.0 * d;
  const uint fifth = (block[0] >> 16) | (block[1] << 16);
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const uint pair = byteOf(block[1u + (i + 2u) / 4u], (i + 2u) % 4u);
    w[i] = float((pair & 15u) | (fifth >> i & 1u) << 4) * d + low;
    w[i + 16u] = float((pair >> 4) | (fifth >> (i + 16u) & 1u) << 4) * d + low;
  }
}

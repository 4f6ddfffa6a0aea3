// fp16 d | fp16 minimum | 32 fifth bits | 16 bytes as in q4_0
void decodePart(uint part, out float w[32]) {
  FETCH_ALIGNED(block, 6u, part * 24u)
  const vec2 line = unpackHalf2x16(block[0]);
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const uint pair = byteOf(block[2u + i / 4u], i % 4u);
    w[i] = float((pair & 15u) | (block[1] >> i & 1u) << 4) * line.x + line.y;
    w[i + 16u] = float((pair >> 4) | (block[1] >> (i + 16u) & 1u) << 4) * line.x + line.y;
  }
}

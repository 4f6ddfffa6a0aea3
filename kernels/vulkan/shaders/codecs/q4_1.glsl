// fp16 d | fp16 minimum | 16 bytes as in q4_0
void decodePart(uint part, out float w[32]) {
  FETCH_ALIGNED(block, 5u, part * 20u)
  const vec2 line = unpackHalf2x16(block[0]);
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const uint pair = byteOf(block[1u + i / 4u], i % 4u);
    w[i] = float(pair & 15u) * line.x + line.y;
    w[i + 16u] = float(pair >> 4) * line.x + line.y;
  }
}

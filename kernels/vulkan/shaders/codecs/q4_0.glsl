// fp16 d | 16 bytes: codes 0 … 15 in the low halves, 16 … 31 in the high
void decodePart(uint part, out float w[32]) {
  FETCH_SHORT(block, 5u, part * 18u)
  const float d = halfOf(block[0]);
  const float low = -8.0 * d;
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const uint pair = byteOf(block[(i + 2u) / 4u], (i + 2u) % 4u);
    w[i] = float(pair & 15u) * d + low;
    w[i + 16u] = float(pair >> 4) * d + low;
  }
}

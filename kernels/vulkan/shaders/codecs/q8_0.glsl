// fp16 d | 32 signed bytes
void decodePart(uint part, out float w[32]) {
  FETCH_SHORT(block, 9u, part * 34u)
  const float d = halfOf(block[0]);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    w[i] = d * float(signedByteOf(block[(i + 2u) / 4u], (i + 2u) % 4u));
  }
}

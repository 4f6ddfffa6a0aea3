// 256 weights: 128 bytes of low nibbles | 64 bytes of high bit pairs | 16 signed scales | fp16 d
void decodePart(uint part, out float w[32]) {
  const uint start = (part >> 3) * 210u;
  const uint group = part & 7u;
  const uint half_ = group >> 2;
  const uint quarter = group & 3u;
  FETCH(low, 8u, start + half_ * 64u + (quarter & 1u) * 32u)
  FETCH(high, 8u, start + 128u + half_ * 32u)
  FETCH(steps, 1u, start + 192u + group * 2u)
  FETCH(unit, 1u, start + 208u)
  const float d = halfOf(unit[0]);
  const uint shift = 4u * (quarter >> 1);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    const uint code = (byteOf(low[i / 4u], i % 4u) >> shift & 15u) |
                      (byteOf(high[i / 4u], i % 4u) >> (2u * quarter) & 3u) << 4;
    w[i] = d * float(signedByteOf(steps[0], i / 16u)) * (float(code) - 32.0);
  }
}

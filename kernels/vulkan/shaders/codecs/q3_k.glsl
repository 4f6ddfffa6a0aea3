// 256 weights: 32 bytes of high bits | 64 bytes of low bit pairs | 16 six-bit scales in 12 bytes |
// fp16 d
void decodePart(uint part, out float w[32]) {
  const uint start = (part >> 3) * 110u;
  const uint group = part & 7u;
  FETCH(high, 8u, start)
  FETCH(low, 8u, start + 32u + (group >> 2) * 32u)
  FETCH(tail, 4u, start + 96u)
  const float d = halfOf(tail[3]);
  const uint shift = 2u * (group & 3u);
  [[unroll]] for (uint half_ = 0u; half_ < 2u; ++half_) {
    const uint index = 2u * group + half_;
    const uint lowWord = (index & 4u) == 0u ? tail[0] : tail[1];
    const uint bits = byteOf(lowWord, index & 3u) >> (index < 8u ? 0u : 4u) & 15u;
    const uint top = byteOf(tail[2], index & 3u) >> (2u * (index >> 2)) & 3u;
    const float scale = d * (float(bits | top << 4) - 32.0);
    [[unroll]] for (uint j = 0u; j < 16u; ++j) {
      const uint i = 16u * half_ + j;
      const uint code = (byteOf(low[i / 4u], i % 4u) >> shift & 3u) |
                        (byteOf(high[i / 4u], i % 4u) >> group & 1u) << 2;
      w[i] = scale * (float(code) - 4.0);
    }
  }
}

// 256 weights: 16 bytes with a scale (low half) and a minimum (high) | 64 bytes of bit pairs, 32 for
// each 128 weights | fp16 d | fp16 dmin
void decodePart(uint part, out float w[32]) {
  const uint start = (part >> 3) * 84u;
  const uint group = part & 7u;
  const vec2 unit = unpackHalf2x16(wordAt((start >> 2) + 20u));
  const uint steps = wordAt((start >> 2) + group / 2u) >> (16u * (group & 1u));
  FETCH_ALIGNED(codes, 8u, start + 16u + (group >> 2) * 32u)
  const uint shift = 2u * (group & 3u);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    const uint step = steps >> (8u * (i / 16u));
    const uint code = byteOf(codes[i / 4u], i % 4u) >> shift & 3u;
    w[i] = unit.x * float(step & 15u) * float(code) - unit.y * float(step >> 4 & 15u);
  }
}

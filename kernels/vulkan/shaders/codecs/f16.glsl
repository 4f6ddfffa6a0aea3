void decodePart(uint part, out float w[32]) {
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const vec2 pair = unpackHalf2x16(wordAt(part * 16u + i));
    w[2u * i] = pair.x;
    w[2u * i + 1u] = pair.y;
  }
}

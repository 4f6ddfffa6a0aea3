void decodePart(uint part, out float w[32]) {
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const uint pair = wordAt(part * 16u + i);
    w[2u * i] = uintBitsToFloat(pair << 16);
    w[2u * i + 1u] = uintBitsToFloat(pair & 0xffff0000u);
  }
}

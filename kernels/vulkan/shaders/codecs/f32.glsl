void decodePart(uint part, out float w[32]) {
  [[unroll]] for (uint i = 0u; i < 32u; ++i) w[i] = uintBitsToFloat(wordAt(part * 32u + i));
}

// Exponent byte | 16 bytes as in q4_0, of E2M1 numbers
float doubledE2M1(uint code) {
  const uint magnitude = code & 7u;
  const uint level = magnitude < 4u ? magnitude : magnitude < 6u ? 2u * magnitude - 4u
                                                                 : 4u * magnitude - 16u;
  return code < 8u ? float(level) : -float(level);
}

void decodePart(uint part, out float w[32]) {
  FETCH_SHORT(block, 5u, part * 17u)
  const uint exponent = block[0] & 255u;
  const float d = uintBitsToFloat(exponent < 2u ? 0x200000u << exponent : (exponent - 1u) << 23);
  [[unroll]] for (uint i = 0u; i < 16u; ++i) {
    const uint pair = byteOf(block[(i + 1u) / 4u], (i + 1u) % 4u);
    w[i] = d * doubledE2M1(pair & 15u);
    w[i + 16u] = d * doubledE2M1(pair >> 4);
  }
}

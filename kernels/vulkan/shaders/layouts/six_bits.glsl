// Scale and minimum of one of the eight groups of a Q4_K or Q5_K block: six bits each, in 12 bytes
// (words 1 … 3 of the block).
uvec2 sixBits(uint first, uint group) {
  const uint slot = group & 3u;
  const uint scales = byteOf(wordAt(first + 1u), slot);
  const uint minima = byteOf(wordAt(first + 2u), slot);
  if (group < 4u) return uvec2(scales & 63u, minima & 63u);
  const uint rest = byteOf(wordAt(first + 3u), slot);
  return uvec2((rest & 15u) | (scales >> 6) << 4, (rest >> 4) | (minima >> 6) << 4);
}

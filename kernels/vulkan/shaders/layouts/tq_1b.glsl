// The TQn_1Bg family: fp16 d | a bit for each g weights, which picks a table | codes of n bits,
// packed for each 32 weights; blocks of 128 weights, the last of a row perhaps of 64; in the rotated
// basis. BITS is n, GROUP is g; LEVELS0 and LEVELS1 are words with the magnitudes of the two tables
// (kernels/base/levels.h), of which LEVELS0_HIGH and LEVELS1_HIGH hold the fifth to the eighth.
#define ROTATED
const uint kBitBytes = 128u / GROUP / 8u;
const uint kCodeBytes = 4u * uint(BITS);
const uint kBlockBytes = 2u + kBitBytes + 4u * kCodeBytes;

// `index`: a code, and above it the bit that picks the table.
float levelOf(uint index) {
  const uint code = index & ((1u << BITS) - 1u);
  const bool second = index >> BITS != 0u;
  const uint top = 1u << (BITS - 1);
  const uint size = code < top ? top - 1u - code : code - top;
#if BITS == 4
  const uint word = size < 4u ? (second ? LEVELS1 : LEVELS0)
                              : (second ? LEVELS1_HIGH : LEVELS0_HIGH);
#else
  const uint word = second ? LEVELS1 : LEVELS0;
#endif
  const float level = float(byteOf(word, size & 3u));
  return code < top ? -level : level;
}

#define LEVEL_COUNT (2u << BITS)
#include "levels.glsl"

void decodePart(uint part, out float w[32]) {
  const uint block = part >> 2;
  const uint start = block * kBlockBytes;
  // A last half block has half the bits before its codes.
  const uint bitBytes = partCount - 4u * block < 4u ? kBitBytes / 2u : kBitBytes;
  const uint index = part & 3u;
  FETCH(unit, 1u, start)
  const float d = halfOf(unit[0]) / 64.0;
  const uint firstBit = index * (32u / GROUP);
  FETCH(bits, 1u, start + 2u + firstBit / 8u)
  const uint second = bits[0] >> (firstBit & 7u);
  FETCH(codes, uint(BITS), start + 2u + bitBytes + index * kCodeBytes)
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
#if BITS == 3
    const uint run = i / 8u;
    const uint word = run == 0u ? codes[0]
                    : run == 1u ? (codes[0] >> 24) | (codes[1] << 8)
                    : run == 2u ? (codes[1] >> 16) | (codes[2] << 16)
                                : codes[2] >> 8;
    const uint code = word >> (3u * (i % 8u)) & 7u;
#else
    const uint each = 32u / uint(BITS);
    const uint code = codes[i / each] >> (uint(BITS) * (i % each)) & ((1u << BITS) - 1u);
#endif
    w[i] = d * levelAt(code | (second >> (i / GROUP) & 1u) << BITS);
  }
}

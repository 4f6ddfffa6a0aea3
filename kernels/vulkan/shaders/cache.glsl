// How a cache of keys or values lies in words: floats, halves two to a word, or runs of 32 signed
// bytes behind a scale (a float, rounded to f16) of their own.
#include "common.glsl"

const uint kFloats = 0u;
const uint kHalves = 1u;
const uint kBytes = 2u;
const uint kRunWords = 9u;

// Where value `index` lies; of bytes the word of the run's scale.
uint cacheWord(uint format, uint index) {
  if (format == kFloats) return index;
  return format == kHalves ? index / 2u : index / 32u * kRunWords;
}

// Values 2i and 2i + 1 of the four bytes in `word`, i = 0 or 1.
vec2 bytesOf(uint word, uint i, float scale) {
  const int bits = int(word >> (16u * i));
  return vec2(bitfieldExtract(bits, 0, 8), bitfieldExtract(bits, 8, 8)) * scale;
}

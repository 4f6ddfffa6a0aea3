// Rows of weights as the codec stores them, 32 rows side by side: word i of row r lies at
// (r / 32 · rowWords + i) · 32 + r mod 32 (kernels/vulkan/rows.h). So neighbouring lanes, which
// take neighbouring rows, read neighbouring words.
#include "common.glsl"

layout(binding = 0) readonly restrict buffer Weights { uint weights[]; };

uint rowStart;   // index of word 0 of this lane's row
uint partCount;  // of 32 weights, in a row

void setRow(uint row, uint rowWords) { rowStart = (row >> 5) * rowWords * 32u + (row & 31u); }

uint wordAt(uint index) { return weights[rowStart + index * 32u]; }

// `count` words from a byte of the row that need not be a multiple of 4. Rows end in a spare word.
// FETCH_SHORT: of the last word only so much is wanted as lies in `count` aligned words.
#define FETCH(to, count, byte)                                        \
  uint to[count];                                                     \
  {                                                                   \
    const uint first_ = (byte) >> 2;                                  \
    const uint shift_ = ((byte) & 3u) * 8u;                           \
    uint low_ = wordAt(first_);                                       \
    [[unroll]] for (uint i_ = 0u; i_ < (count); ++i_) {               \
      const uint high_ = wordAt(first_ + i_ + 1u);                    \
      to[i_] = (low_ >> shift_) | ((high_ << 1) << (31u - shift_));   \
      low_ = high_;                                                   \
    }                                                                 \
  }

#define FETCH_SHORT(to, count, byte)                                  \
  uint to[count];                                                     \
  {                                                                   \
    const uint first_ = (byte) >> 2;                                  \
    const uint shift_ = ((byte) & 3u) * 8u;                           \
    uint low_ = wordAt(first_);                                       \
    [[unroll]] for (uint i_ = 0u; i_ < (count); ++i_) {               \
      const uint high_ = i_ + 1u < (count) ? wordAt(first_ + i_ + 1u) : 0u; \
      to[i_] = (low_ >> shift_) | ((high_ << 1) << (31u - shift_));   \
      low_ = high_;                                                   \
    }                                                                 \
  }

// The same where the byte is a multiple of 4.
#define FETCH_ALIGNED(to, count, byte) \
  uint to[count];                      \
  [[unroll]] for (uint i_ = 0u; i_ < (count); ++i_) to[i_] = wordAt(((byte) >> 2) + i_);

uint byteOf(uint word, uint index) { return word >> (8u * index) & 255u; }

int signedByteOf(uint word, uint index) { return bitfieldExtract(int(word), int(8u * index), 8); }

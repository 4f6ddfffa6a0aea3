// SPDX-License-Identifier: GPL-3.0-or-later
// What panels are computed with, in plain loops: 64 bytes (four of each of 16 rows), 16 integers,
// 16 floats. Not inlined: the loops are long next to a call, and the compiler would unroll them
// hundreds of times.
#define BITLOOM_APART __attribute__((noinline))

struct Codes {
  uint8_t byte[64];
};
constexpr bool kWideTables = false;
constexpr bool kCutsWords = false;
// Words of three-bit codes: other targets have them, here they are only named.
struct CodeWords {
  Codes word[4];
};
template <typename Byte>
CodeWords loadWords(const Byte* from);
template <int kFirst, int kStep>
Codes fieldsOf(const Codes& words);

struct Sums {
  int32_t lane[16];
};
struct Wide {
  float lane[16];
};

inline Codes loadCodes(const uint8_t* from) {
  Codes codes;
  __builtin_memcpy(codes.byte, from, 64);
  return codes;
}

// (byte >> kShift) & kMask
template <int kShift, int kMask>
BITLOOM_APART inline Codes field(const Codes& bytes) {
  Codes codes;
  for (size_t i = 0; i < 64; ++i) codes.byte[i] = uint8_t(bytes.byte[i] >> kShift & kMask);
  return codes;
}

// low | field << kUp, where the field is (byte >> kShift) & kMask.
template <int kShift, int kMask, int kUp>
BITLOOM_APART inline Codes joined(const Codes& low, const Codes& bytes) {
  Codes codes;
  for (size_t i = 0; i < 64; ++i) {
    codes.byte[i] = uint8_t(low.byte[i] | (bytes.byte[i] >> kShift & kMask) << kUp);
  }
  return codes;
}

// low | kBit in those of 32 pairs of bytes whose bit of `mask` is set (16 fours when kWide).
template <int kBit, bool kFours>
BITLOOM_APART inline Codes picked(const Codes& low, uint32_t mask) {
  Codes codes;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t bit = mask >> (kFours ? i / 4 : i / 2) & 1;
    codes.byte[i] = uint8_t(low.byte[i] | (bit ? kBit : 0));
  }
  return codes;
}

template <size_t kEntries>
BITLOOM_APART inline Codes lookUp(const uint8_t* table, const Codes& indices) {
  Codes codes;
  for (size_t i = 0; i < 64; ++i) codes.byte[i] = table[indices.byte[i]];
  return codes;
}

BITLOOM_APART inline Sums splatSums(int32_t value) {
  Sums sums;
  for (int32_t& lane : sums.lane) lane = value;
  return sums;
}

// sums − zero·(a0 + … + a3) is the caller's; adds u·a over the four bytes of each lane.
template <int kZero>
BITLOOM_APART inline void addProducts(Sums& sums, const Codes& codes, const int8_t* a) {
  for (size_t i = 0; i < 16; ++i) {
    int32_t sum = 0;
    for (size_t j = 0; j < 4; ++j) sum += int32_t(codes.byte[4 * i + j]) * int32_t(a[j]);
    sums.lane[i] += sum;
  }
}

// What `sums` begins with so that it ends as Σ (u − zero)·a.
template <int kZero>
inline Sums startSums(const int32_t* sum) {
  return splatSums(kZero * (*sum / 128));
}

inline Wide splatWide(float value) {
  Wide wide;
  for (float& lane : wide.lane) lane = value;
  return wide;
}

template <typename Function>
inline Wide eachLane(Function function) {
  Wide wide;
  for (size_t i = 0; i < 16; ++i) wide.lane[i] = function(i);
  return wide;
}

BITLOOM_APART inline Wide toFloats(const Sums& sums) {
  return eachLane([&](size_t i) { return float(sums.lane[i]); });
}
BITLOOM_APART inline Wide times(const Wide& a, const Wide& b) {
  return eachLane([&](size_t i) { return a.lane[i] * b.lane[i]; });
}
BITLOOM_APART inline Wide plusProduct(const Wide& sum, const Wide& a, const Wide& b) {
  return eachLane([&](size_t i) { return sum.lane[i] + a.lane[i] * b.lane[i]; });
}
inline Wide loadWide(const float* from) {
  return eachLane([&](size_t i) { return from[i]; });
}
BITLOOM_APART inline Wide loadHalves(const uint8_t* from) {
  uint16_t halves[16];
  __builtin_memcpy(halves, from, sizeof halves);
  Wide wide;
  f16ToF32(wide.lane, halves, 16);
  return wide;
}
BITLOOM_APART inline Wide loadBrains(const uint8_t* from) {
  uint32_t bits[16];
  for (size_t i = 0; i < 16; ++i) bits[i] = uint32_t(from[2 * i] | from[2 * i + 1] << 8) << 16;
  Wide wide;
  __builtin_memcpy(wide.lane, bits, sizeof bits);
  return wide;
}
BITLOOM_APART inline Wide loadSignedBytes(const uint8_t* from) {
  return eachLane([&](size_t i) { return float(int8_t(from[i])); });
}
inline void storeWide(float* to, const Wide& wide) { __builtin_memcpy(to, wide.lane, 64); }

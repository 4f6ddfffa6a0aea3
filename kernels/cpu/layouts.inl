// SPDX-License-Identifier: GPL-3.0-or-later
// Parts that several codecs' layouts share.

template <typename T>
inline T loadAs(const uint8_t* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

// 32 nibbles: weight j in the low half of byte j, weight j + 16 in its high half.
inline void readNibbles(const uint8_t* bytes, uint8_t* codes) {
  for (size_t j = 0; j < 16; ++j) {
    codes[j] = bytes[j] & 15;
    codes[j + 16] = bytes[j] >> 4;
  }
}

// `bit` of each of 32 weights, from a little-endian word.
inline void addFifthBits(uint32_t word, uint8_t* codes) {
  for (size_t j = 0; j < 32; ++j) codes[j] = uint8_t(codes[j] | (word >> j & 1) << 4);
}

// Unsigned bytes of a signed table, around 128, in the 16 or 32 entries that a look-up takes.
template <size_t kCount>
struct ByteTable {
  static constexpr size_t kSize = kCount <= 16 ? 16 : 32;
  uint8_t entries[kSize] = {};
  constexpr void set(size_t i, int level) { entries[i] = uint8_t(level + 128); }
};

constexpr int roundedLevel(double value) { return int(value < 0 ? value - 0.5 : value + 0.5); }

// A float table as bytes: entry ≈ multiplier · centroid, with that multiplier of which the largest
// rounding error, relative to the largest centroid, is least.
template <size_t kCount>
struct RoundedTable {
  ByteTable<kCount> table = {};
  double multiplier = 0;
  double error = 1;

  constexpr explicit RoundedTable(const float (&centroids)[kCount]) {
    double largest = 0;
    for (const float c : centroids) largest = c > largest ? c : -c > largest ? -c : largest;
    for (double peak = 127; peak > 90; peak -= 0.0625) {
      const double candidate = peak / largest;
      double worst = 0;
      for (const float c : centroids) {
        const double rest = double(c) * candidate - roundedLevel(double(c) * candidate);
        const double size = rest < 0 ? -rest : rest;
        worst = size > worst ? size : worst;
      }
      if (worst / peak >= error) continue;
      error = worst / peak;
      multiplier = candidate;
    }
    for (size_t i = 0; i < kCount; ++i)
      table.set(i, roundedLevel(double(centroids[i]) * multiplier));
  }
};

// 32 codes of three bits: four groups of eight, each a little-endian number of 24 bits.
inline void readThreeBits(const uint8_t* bytes, uint8_t* codes) {
  for (size_t group = 0; group < 4; ++group) {
    const uint8_t* from = bytes + 3 * group;
    const uint32_t word = uint32_t(from[0] | from[1] << 8 | from[2] << 16);
    for (size_t i = 0; i < 8; ++i) codes[8 * group + i] = word >> (3 * i) & 7;
  }
}

// Codes of two or four bits, from the low bits of each byte up.
template <int kBits>
inline void readFields(const uint8_t* bytes, uint8_t* codes) {
  constexpr size_t kPerByte = 8 / kBits;
  for (size_t i = 0; i < kPanelStep; ++i) {
    codes[i] = bytes[i / kPerByte] >> (kBits * (i % kPerByte)) & ((1 << kBits) - 1);
  }
}

template <int kBits>
inline void readRotatedCodes(const uint8_t* bytes, uint8_t* codes) {
  if constexpr (kBits == 3) {
    readThreeBits(bytes, codes);
  } else {
    readFields<kBits>(bytes, codes);
  }
}

// TQ3_1S, TQ4_1S: two halves as scales of 16 rotated weights, then the codes.
template <int kCodeBits, const float (&kCentroids)[size_t(1) << kCodeBits]>
struct TwoScalesLayout : PanelLayout {
  static constexpr int kBits = kCodeBits;
  static constexpr int kZero = 128;
  static constexpr size_t kGroup = 16;
  static constexpr size_t kEntries = size_t(1) << kCodeBits;
  static constexpr RoundedTable<kEntries> kRounded{kCentroids};
  static constexpr ByteTable<kEntries> kTable = kRounded.table;
  static constexpr float kUnit = float(1 / kRounded.multiplier);
  static constexpr float kTableError = float(kRounded.error);
  static constexpr bool kRotated = true;

  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step * (4 + 4 * kBits);
    __builtin_memcpy(out.scales, block, 4);
    readRotatedCodes<kBits>(block + 4, out.codes);
  }
};

// TQn_1Bg: blocks of 128 weights, the last of a row perhaps of 64: half d | bits that pick one of
// two tables for each g weights | codes.
template <int kCodeBits, int kPickGroup>
struct OneBitLayout : PanelLayout {
  static constexpr int kBits = kCodeBits;
  static constexpr int kZero = 128;
  static constexpr size_t kSuper = 4;
  static constexpr StepScale kScale = StepScale::None;
  static constexpr bool kHeader = true;
  static constexpr size_t kPick = kPickGroup;
  static constexpr size_t kEntries = size_t(2) << kCodeBits;
  static constexpr float kUnit = 1.0f / 64;
  static constexpr bool kRotated = true;
  static constexpr size_t kRow = 64;

  struct Entries : ByteTable<kEntries> {
    constexpr Entries() {
      constexpr size_t kHalf = size_t(1) << (kCodeBits - 1);
      for (size_t bit = 0; bit < 2; ++bit) {
        for (size_t i = 0; i < kHalf; ++i) {
          const int level = levels::OneBit<kCodeBits, kPickGroup>::kLevels[bit][i];
          this->set(2 * kHalf * bit + kHalf + i, level);
          this->set(2 * kHalf * bit + kHalf - 1 - i, -level);
        }
      }
    }
  };
  static constexpr Entries kTable = {};

  static void read(const uint8_t* row, size_t k, size_t step, StepOfRow& out) {
    const auto blockBytes = [](size_t block) {
      return 2 + block / kPickGroup / 8 + block / 8 * size_t(kCodeBits);
    };
    const size_t block = step / 4;
    const size_t weights = k - block * 128 < 128 ? k - block * 128 : 128;
    const uint8_t* from = row + block * blockBytes(128);
    __builtin_memcpy(out.header, from, 2);
    const size_t firstPick = step % 4 * kPanelStep / kPickGroup;
    for (size_t i = 0; i < kPanelStep / kPickGroup; ++i) {
      const size_t pick = firstPick + i;
      out.picks[i] = from[2 + pick / 8] >> (pick % 8) & 1;
    }
    const uint8_t* codes = from + 2 + weights / kPickGroup / 8;
    readRotatedCodes<kCodeBits>(codes + step % 4 * 4 * size_t(kCodeBits), out.codes);
  }
};

// What the K types share: blocks of 256 weights.
struct SuperLayout : PanelLayout {
  static constexpr size_t kSuper = 8;
  static constexpr StepScale kScale = StepScale::Byte;
  static constexpr bool kHeader = true;
  static constexpr size_t kRow = 256;
};

// Codes of kWidth bits in planes: chunks of `stride` bytes hold 8/kWidth runs of that many weights.
template <int kWidth>
inline unsigned planeCode(const uint8_t* bytes, size_t stride, size_t i) {
  const size_t chunk = stride * 8 / kWidth;
  const unsigned byte = bytes[i / chunk * stride + i % stride];
  return byte >> (i % chunk / stride * kWidth) & ((1u << kWidth) - 1);
}

inline uint16_t negatedHalf(uint16_t half) { return half ^ 0x8000; }

// Q4_K and Q5_K: halves d, dmin | eight scales and minima of six bits in 12 bytes | codes.
template <int kCodeBits>
struct SixBitLayout : SuperLayout {
  static constexpr int kBits = kCodeBits;
  static constexpr bool kMinimum = true;
  static constexpr size_t kBlockBytes = 16 + 32 * size_t(kCodeBits);

  static uint16_t sixBits(const uint8_t* bytes, size_t part, size_t first) {
    if (part < 4) return bytes[part + first] & 63;
    return uint16_t((bytes[part + 4] >> first & 15) | bytes[part - 4 + first] >> 6 << 4);
  }

  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 8 * kBlockBytes;
    const size_t part = step % 8;
    out.header[0] = loadAs<uint16_t>(block);
    out.header[1] = negatedHalf(loadAs<uint16_t>(block + 2));
    out.scales[0] = sixBits(block + 4, part, 0);
    out.minima[0] = sixBits(block + 4, part, 4);
    const uint8_t* low = block + (kCodeBits == 5 ? 48 : 16);
    for (size_t i = 0; i < kPanelStep; ++i) {
      unsigned code = planeCode<4>(low, 32, part * 32 + i);
      if (kCodeBits == 5) code |= planeCode<1>(block + 16, 32, part * 32 + i) << 4;
      out.codes[i] = uint8_t(code);
    }
  }
};

// Binary and ternary codes around 1, a half for each few steps.
struct OneScaleLayout : PanelLayout {
  static constexpr int kBits = 2;
  static constexpr int kZero = 1;
  static constexpr StepScale kScale = StepScale::None;
  static constexpr bool kHeader = true;
};

// Four-bit codes with a table of whole numbers.
template <const float (&kLevels)[16]>
struct Table4Layout : PanelLayout {
  static constexpr int kBits = 4;
  static constexpr int kZero = 128;
  static constexpr size_t kEntries = 16;
  struct Entries : ByteTable<16> {
    constexpr Entries() {
      for (size_t i = 0; i < 16; ++i) this->set(i, int(kLevels[i]));
    }
  };
  static constexpr Entries kTable = {};
};
using UnevenLayout = Table4Layout<levels::kUneven>;
using Float4Layout = Table4Layout<levels::kFloat4>;

// SPDX-License-Identifier: GPL-3.0-or-later
// Panels of codes (panels.h). A panel is a sequence of *groups of steps* (kSuper steps of 32
// weights); a group begins with what all its steps share (a scale for each of the 16 rows, perhaps
// a minimum), then each step follows: scales, minima, picks, codes. Codes of b bits lie in planes
// of 4, 2 and 1 bits; plane bytes hold four neighbouring weights of each row (a *unit*), several
// units above one another. All of a panel is read once, front to back.
//
// A layout is a type with the members of `PanelLayout` and
//   static void read(const uint8_t* row, size_t k, size_t step, StepOfRow& out);
// which unpacks one step of one row from the codec's own bytes.

enum class StepScale { None, Half, Brain, Byte };  // stored for each group of kGroup weights

// Defaults; a layout overrides what differs.
struct PanelLayout {
  static constexpr int kZero = 0;           // of the unsigned codes or table entries
  static constexpr size_t kGroup = 32;      // weights to a scale: 16 or 32
  static constexpr size_t kSuper = 1;       // steps that share a header
  static constexpr size_t kShortSuper = 0;  // steps of a shorter last one; 0: there is none
  static constexpr StepScale kScale = StepScale::Half;
  static constexpr bool kHeader = false;   // a half for each row, which multiplies all
  static constexpr bool kMinimum = false;  // weight = … + minimum, stored like the scales
  static constexpr size_t kPick = 0;       // weights to a pick bit, which comes above the codes
  static constexpr size_t kEntries = 0;    // of kTable: unsigned bytes; 0: codes are the values
  static constexpr float kUnit = 1;        // of a value
  static constexpr float kTableError = 0;
  static constexpr bool kRotated = false;
  static constexpr size_t kRow = 32;  // rows are multiples of it
};

struct StepOfRow {
  uint8_t codes[kPanelStep];
  uint8_t picks[kPanelStep / 2];  // one for each kPick weights
  uint16_t scales[2];             // as kScale says, in the low bits
  uint16_t minima[2];
  uint16_t header[2];  // scale and factor of minima, halves
};

constexpr size_t kUnits = kPanelStep / 4;
constexpr size_t kPanelAhead = 4096;  // bytes, some 400 ns of reading

template <class L>
struct Panel {
  static constexpr size_t kGroups = kPanelStep / L::kGroup;  // of a step
  static constexpr size_t kScaleBytes = L::kScale == StepScale::None   ? 0
                                        : L::kScale == StepScale::Byte ? 1
                                                                       : 2;
  static constexpr size_t kHeaderBytes = L::kHeader ? (L::kMinimum ? 64 : 32) : 0;
  static constexpr size_t kScalesBytes = kGroups * kScaleBytes * kPanelRows;
  static constexpr size_t kMinimaBytes = L::kMinimum ? kScalesBytes : 0;
  static constexpr size_t kPickBytes = L::kPick == 0 ? 0 : kPanelStep / L::kPick * kPanelRows / 8;
  static constexpr size_t kCodesAt = kScalesBytes + kMinimaBytes + kPickBytes;
  static constexpr size_t kStepBytes = kCodesAt + 64 * size_t(L::kBits);
  static constexpr bool kInWords = kCutsWords && L::kBits == 3;
  // First bit of each unit of the two rows' words.
  static constexpr int kWordStarts[kUnits] = {16, 40, 32, 56, 48, 8, 0, 24};

  static size_t bytes(size_t k) {
    if (k % L::kRow != 0) return 0;
    const size_t steps = k / kPanelStep;
    return steps * kStepBytes + (steps + L::kSuper - 1) / L::kSuper * kHeaderBytes;
  }

  // Codes of all rows, a unit after the other, as they are before they are laid into planes.
  struct Spread {
    uint8_t units[kUnits][64];
  };

  // Bits [kFirst, kFirst + kWidth) of the codes → the planes at `to`; the first of them past these.
  template <int kFirst, int kWidth>
  static uint8_t* putPlanes(const Spread& spread, uint8_t* to) {
    constexpr size_t kPerByte = 8 / size_t(kWidth);
    constexpr size_t kPlanes = kUnits / kPerByte;
    for (size_t plane = 0; plane < kPlanes; ++plane, to += 64) {
      for (size_t place = 0; place < kPerByte; ++place) {
        // Nibbles pair units four apart; narrower fields take neighbours.
        const size_t at = kWidth == 4 ? place * kPlanes + plane : plane * kPerByte + place;
        for (size_t lane = 0; lane < 64; ++lane) {
          const unsigned bits = spread.units[at][lane] >> kFirst & ((1u << kWidth) - 1);
          to[lane] = uint8_t(to[lane] | bits << (place * size_t(kWidth)));
        }
      }
    }
    return to;
  }

  // Three-bit codes as a processor takes them that cuts eight fields out of 64 bits at once
  // (vpmultishiftqb): of each two rows, a unit is 24 bits of one of three words; the 16 bits that
  // each word has left make up a fourth word, of the last two units.
  static void putWords(const Spread& spread, uint8_t* to) {
    for (size_t pair = 0; pair < 8; ++pair) {
      uint64_t words[4] = {};
      for (size_t at = 0; at < kUnits; ++at) {
        for (size_t i = 0; i < 8; ++i) {
          const uint64_t code = spread.units[at][8 * pair + i];
          const unsigned place = (unsigned(kWordStarts[at]) + 3 * unsigned(i)) % 64;
          words[at / 2] |= code << place | (place > 61 ? code >> (64 - place) : 0);
        }
      }
      for (size_t word = 0; word < 3; ++word) {
        words[word] |= words[3] & uint64_t{0xffff} << (16 * word);
        __builtin_memcpy(to + word * 64 + pair * 8, &words[word], 8);
      }
    }
  }

  static void putCodes(const Spread& spread, uint8_t* to) {
    if constexpr (kInWords) {
      putWords(spread, to);
      return;
    }
    if constexpr (L::kBits == 8) {
      __builtin_memcpy(to, spread.units, sizeof spread.units);
      return;
    }
    if constexpr (L::kBits >= 4) {
      to = putPlanes<0, 4>(spread, to);
      if constexpr (L::kBits == 6) putPlanes<4, 2>(spread, to);
      if constexpr (L::kBits == 5) putPlanes<4, 1>(spread, to);
    } else {
      to = putPlanes<0, 2>(spread, to);
      if constexpr (L::kBits == 3) putPlanes<2, 1>(spread, to);
    }
  }

  static void putRow(const StepOfRow& row, size_t lane, uint8_t* step) {
    for (size_t group = 0; group < kGroups; ++group) {
      uint8_t* scale = step + (group * kPanelRows + lane) * kScaleBytes;
      __builtin_memcpy(scale, &row.scales[group], kScaleBytes);
      if (L::kMinimum) __builtin_memcpy(scale + kScalesBytes, &row.minima[group], kScaleBytes);
    }
    if constexpr (L::kPick != 0) {
      // Unit by unit: 16 rows × the bits of four weights (or of eight, for every other unit).
      constexpr size_t kPerUnit = L::kPick < 4 ? 4 / L::kPick : 1;
      constexpr size_t kUnitsOfPick = L::kPick < 4 ? 1 : L::kPick / 4;
      uint8_t* field = step + kScalesBytes + kMinimaBytes;
      for (size_t pick = 0; pick < kPanelStep / L::kPick; ++pick) {
        const size_t entry = pick / kPerUnit;  // the unit, or pair of units
        const size_t bit = entry * kPanelRows * kPerUnit + lane * kPerUnit + pick % kPerUnit;
        field[bit / 8] = uint8_t(field[bit / 8] | row.picks[pick] << (bit % 8));
      }
      static_assert(kUnitsOfPick <= 2);
    }
  }

  static void pack(const PanelSource& source, uint8_t* panel) {
    __builtin_memset(panel, 0, bytes(source.k));
    StepOfRow row = {};
    Spread spread = {};
    const size_t steps = source.k / kPanelStep;
    for (size_t step = 0; step < steps; ++step) {
      uint8_t* header = nullptr;
      if (step % L::kSuper == 0) {
        header = panel;
        panel += kHeaderBytes;
      }
      for (size_t lane = 0; lane < source.rows; ++lane) {
        L::read(source.bytes + lane * source.rowBytes, source.k, step, row);
        if (header != nullptr && L::kHeader) {
          __builtin_memcpy(header + 2 * lane, &row.header[0], 2);
          if (L::kMinimum) __builtin_memcpy(header + 32 + 2 * lane, &row.header[1], 2);
        }
        putRow(row, lane, panel);
        for (size_t unit = 0; unit < kUnits; ++unit) {
          __builtin_memcpy(&spread.units[unit][4 * lane], &row.codes[4 * unit], 4);
        }
      }
      putCodes(spread, panel + kCodesAt);
      panel += kStepBytes;
    }
  }

  // The values of unit kUnit, unsigned. With a wide table, bits of an index above the table's are
  // of no account.
  template <size_t kUnit>
  static Codes unit(const uint8_t* step, const CodeWords& words) {
    const uint8_t* codes = step + kCodesAt;
    constexpr bool kLoose = kWideTables && L::kEntries == size_t(1) << L::kBits;
    Codes value;
    if constexpr (kInWords) {
      value = fieldsOf<kWordStarts[kUnit], 3>(words.word[kUnit / 2]);
      if constexpr (!kLoose) value = field<0, 7>(value);
    } else if constexpr (L::kBits == 4 && kLoose) {
      value = field<kUnit / 4 * 4, 255>(loadCodes(codes + 64 * (kUnit % 4)));
    } else if constexpr (L::kBits == 8) {
      value = loadCodes(codes + 64 * kUnit);
    } else if constexpr (L::kBits >= 4) {
      value = field<kUnit / 4 * 4, 15>(loadCodes(codes + 64 * (kUnit % 4)));
      if constexpr (L::kBits == 6) {
        value = joined<kUnit % 4 * 2, 3, 4>(value, loadCodes(codes + 256 + 64 * (kUnit / 4)));
      }
      if constexpr (L::kBits == 5) {
        value = joined<int(kUnit), 1, 4>(value, loadCodes(codes + 256));
      }
    } else {
      value = field<kUnit % 4 * 2, 3>(loadCodes(codes + 64 * (kUnit / 4)));
      if constexpr (L::kBits == 3) {
        value = joined<int(kUnit), 1, 2>(value, loadCodes(codes + 128));
      }
    }
    if constexpr (L::kPick == 2) {
      uint32_t mask;
      __builtin_memcpy(&mask, step + kScalesBytes + 4 * kUnit, 4);
      value = picked<1 << L::kBits, false>(value, mask);
    } else if constexpr (L::kPick != 0) {
      uint16_t mask;
      __builtin_memcpy(&mask, step + kScalesBytes + 2 * (kUnit * 4 / L::kPick), 2);
      value = picked<1 << L::kBits, true>(value, mask);
    }
    if constexpr (L::kEntries != 0) value = lookUp<L::kEntries>(L::kTable.entries, value);
    return value;
  }

  struct StepCodes {
    Codes units[kUnits];
  };

  static StepCodes codesOf(const uint8_t* step) {
    CodeWords words;
    if constexpr (kInWords) words = loadWords(step + kCodesAt);
    return {{unit<0>(step, words), unit<1>(step, words), unit<2>(step, words),
             unit<3>(step, words), unit<4>(step, words), unit<5>(step, words),
             unit<6>(step, words), unit<7>(step, words)}};
  }

  static Wide number(const uint8_t* from) {
    if constexpr (L::kScale == StepScale::Byte) return loadSignedBytes(from);
    if constexpr (L::kScale == StepScale::Brain) return loadBrains(from);
    return loadHalves(from);
  }

  static Wide scaleOf(const uint8_t* step, size_t group) {
    return number(step + group * kPanelRows * kScaleBytes);
  }
  static Wide minimumOf(const uint8_t* step, size_t group) {
    return number(step + kScalesBytes + group * kPanelRows * kScaleBytes);
  }

  // Sums of the products of one group of one step: Σ (u − zero)·a.
  static Wide groupProducts(const StepCodes& codes, size_t group, const int8_t* a,
                            const int32_t* sum) {
    constexpr size_t kCount = L::kGroup / 4;
    Sums sums = startSums<L::kZero>(sum);
#pragma GCC unroll 8
    for (size_t i = 0; i < kCount; ++i) {
      const size_t at = group * kCount + i;
      addProducts<L::kZero>(sums, codes.units[at], a + 4 * at);
    }
    return toFloats(sums);
  }

  template <size_t kTokens>
  static void addStep(const uint8_t* step, const RoundedActivations& input, size_t k, size_t at,
                      Wide* results, Wide* minima) {
    const StepCodes codes = codesOf(step);
#pragma GCC unroll 2
    for (size_t group = 0; group < kGroups; ++group) {
      Wide scale = splatWide(1);
      Wide minimum = splatWide(0);
      if constexpr (L::kScale != StepScale::None) scale = scaleOf(step, group);
      if constexpr (L::kMinimum) minimum = minimumOf(step, group);
#pragma GCC unroll 8
      for (size_t token = 0; token < kTokens; ++token) {
        const int8_t* a = input.codes + token * k + at * kPanelStep;
        const int32_t* sums = input.sums + (token * k / kPanelStep + at) * kPanelSums;
        const int32_t* sum = sums + (kGroups == 2 ? group : 2);
        const float unit = input.scales[token * k / kPanelStep + at];
        const Wide products = groupProducts(codes, group, a, sum);
        if constexpr (L::kScale == StepScale::None) {
          results[token] = plusProduct(results[token], products, splatWide(unit));
        } else {
          results[token] = plusProduct(results[token], times(products, splatWide(unit)), scale);
        }
        if constexpr (L::kMinimum) {
          const Wide total = splatWide(float(*sum) * (unit * (-1.0f / 128)));
          minima[token] = plusProduct(minima[token], total, minimum);
        }
      }
    }
  }

  template <size_t kTokens>
  static void multiplyPanel(const uint8_t* panel, const RoundedActivations& input, size_t k,
                            float (*out)[kPanelRows]) {
    Wide totals[kTokens];
    for (Wide& total : totals) total = splatWide(0);
    const size_t steps = k / kPanelStep;
    const size_t shared = L::kHeader ? L::kSuper : steps;
    for (size_t first = 0; first < steps; first += shared) {
      const uint8_t* header = panel;
      panel += kHeaderBytes;
      const size_t end = first + shared < steps ? first + shared : steps;
      Wide results[kTokens];
      Wide minima[kTokens];
      for (Wide& result : results) result = splatWide(0);
      for (Wide& minimum : minima) minimum = splatWide(0);
      for (size_t step = first; step < end; ++step, panel += kStepBytes) {
#pragma GCC unroll 10
        for (size_t line = 0; line < kStepBytes; line += 64) {
          __builtin_prefetch(panel + kPanelAhead + line);
        }
        if constexpr (L::kHeader) {
          addStep<kTokens>(panel, input, k, step, results, minima);
        } else {
          addStep<kTokens>(panel, input, k, step, totals, totals);
        }
      }
      if constexpr (L::kHeader) {
        const Wide scale = loadHalves(header);
#pragma GCC unroll 8
        for (size_t token = 0; token < kTokens; ++token) {
          totals[token] = plusProduct(totals[token], results[token], scale);
          if (L::kMinimum) {
            totals[token] = plusProduct(totals[token], minima[token], loadHalves(header + 32));
          }
        }
      }
    }
    for (size_t token = 0; token < kTokens; ++token) {
      storeWide(out[token], times(totals[token], splatWide(L::kUnit)));
    }
  }

  template <size_t kTokens>
  static void multiplyTokens(const PanelProduct& task, size_t firstToken) {
    const RoundedActivations input = {
        .codes = task.input.codes + firstToken * task.k,
        .scales = task.input.scales + firstToken * task.k / kPanelStep,
        .sums = task.input.sums + firstToken * task.k / kPanelStep * kPanelSums};
    const size_t stride = bytes(task.k);
    for (size_t panel = 0; panel < task.panelCount; ++panel) {
      float results[kTokens][kPanelRows];
      multiplyPanel<kTokens>(task.panels + panel * stride, input, task.k, results);
      const size_t row = panel * kPanelRows;
      const size_t rows = task.rows - row < kPanelRows ? task.rows - row : kPanelRows;
      for (size_t token = 0; token < kTokens; ++token) {
        float* to = task.out + (firstToken + token) * task.outStride + row;
        __builtin_memcpy(to, results[token], rows * sizeof(float));
      }
    }
  }

  static void multiply(const PanelProduct& task) {
    size_t token = 0;
    for (; token + 8 <= task.tokens; token += 8) multiplyTokens<8>(task, token);
    if (task.tokens - token >= 4) {
      multiplyTokens<4>(task, token);
      token += 4;
    }
    if (task.tokens - token >= 2) {
      multiplyTokens<2>(task, token);
      token += 2;
    }
    if (task.tokens - token == 1) multiplyTokens<1>(task, token);
  }

#ifdef BITLOOM_TILES
#include "kernels/cpu/panel_tiles.inl"
  static constexpr auto kExpand = &expand;
#else
  static constexpr void (*kExpand)(const uint8_t*, size_t, uint8_t*) = nullptr;
#endif
};

template <class L>
constexpr PanelCodec panelCodec(const char* name) {
  return {.name = name,
          .integer = true,
          .rotated = L::kRotated,
          .tableError = L::kTableError,
          .panelBytes = Panel<L>::bytes,
          .pack = Panel<L>::pack,
          .multiply = Panel<L>::multiply,
          .expand = Panel<L>::kExpand};
}

// SPDX-License-Identifier: GPL-3.0-or-later
struct TQ1_0Layout : OneScaleLayout {
  static constexpr size_t kSuper = 8;
  static constexpr size_t kRow = 256;

  // Digit `place` of a byte that holds five in base 3 as a fraction of 256.
  static uint8_t digit(uint8_t byte, size_t place) {
    constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
    return uint8_t((byte * kPowers[place] & 255) * 3 >> 8);
  }

  // 32 bytes of 160 weights | 16 of 80 | 4 of 16, in each the digits in turn | half d.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 8 * 54;
    out.header[0] = loadAs<uint16_t>(block + 52);
    for (size_t i = 0; i < kPanelStep; ++i) {
      const size_t at = step % 8 * kPanelStep + i;
      if (at < 160) {
        out.codes[i] = digit(block[at % 32], at / 32);
      } else if (at < 240) {
        out.codes[i] = digit(block[32 + at % 16], (at - 160) / 16);
      } else {
        out.codes[i] = digit(block[48 + at % 4], (at - 240) / 4);
      }
    }
  }
};
constexpr PanelCodec kPanel_tq1_0 = panelCodec<TQ1_0Layout>("tq1_0");

// SPDX-License-Identifier: GPL-3.0-or-later
struct NVFP4Layout : Float4Layout {
  static constexpr size_t kGroup = 16;
  static constexpr size_t kRow = 64;

  // Half of a float of four exponent and three mantissa bits, as a 16-bit float; NaN is 0.
  static uint16_t halved(unsigned byte) {
    constexpr uint16_t kSmall[8] = {0, 0x1400, 0x1800, 0x1a00, 0x1c00, 0x1d00, 0x1e00, 0x1f00};
    const unsigned exponent = byte >> 3 & 15, mantissa = byte & 7;
    if (exponent == 0 || (byte & 127) == 127) return exponent == 0 ? kSmall[mantissa] : 0;
    return uint16_t((exponent + 7) << 10 | mantissa << 7);
  }

  // Blocks of 64: four scales, one for each 16 weights | codes, eight bytes for each 16.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 2 * 36;
    for (size_t group = 0; group < 2; ++group) {
      out.scales[group] = halved(block[step % 2 * 2 + group]);
    }
    for (size_t i = 0; i < kPanelStep; ++i) {
      out.codes[i] = uint8_t(planeCode<4>(block + 4, 8, step % 2 * kPanelStep + i));
    }
  }
};
constexpr PanelCodec kPanel_nvfp4 = panelCodec<NVFP4Layout>("nvfp4");

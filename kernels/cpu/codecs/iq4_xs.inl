// SPDX-License-Identifier: GPL-3.0-or-later
struct IQ4_XSLayout : UnevenLayout {
  static constexpr size_t kSuper = SuperLayout::kSuper;
  static constexpr StepScale kScale = SuperLayout::kScale;
  static constexpr bool kHeader = SuperLayout::kHeader;
  static constexpr size_t kRow = SuperLayout::kRow;
  // Half d | high pairs of eight six-bit scales around 32, 2 bytes | low nibbles, 4 bytes | codes.
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step / 8 * 136;
    const size_t part = step % 8;
    const unsigned scale = planeCode<4>(block + 4, 1, part) | planeCode<2>(block + 2, 1, part) << 4;
    out.header[0] = loadAs<uint16_t>(block);
    out.scales[0] = uint8_t(int(scale) - 32);
    readNibbles(block + 8 + part * 16, out.codes);
  }
};
constexpr PanelCodec kPanel_iq4_xs = panelCodec<IQ4_XSLayout>("iq4_xs");

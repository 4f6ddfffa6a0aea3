// SPDX-License-Identifier: GPL-3.0-or-later
struct Q4_1Layout : PanelLayout {
  static constexpr int kBits = 4;
  static constexpr bool kMinimum = true;
  static void read(const uint8_t* row, size_t, size_t step, StepOfRow& out) {
    const uint8_t* block = row + step * 20;
    out.scales[0] = loadAs<uint16_t>(block);
    out.minima[0] = loadAs<uint16_t>(block + 2);
    readNibbles(block + 4, out.codes);
  }
};
constexpr PanelCodec kPanel_q4_1 = panelCodec<Q4_1Layout>("q4_1");
